import YuyanModels
import YuyanNN
import YuyanTensor

/// A weight that holds a number which is not finite.
package struct DamagedWeight: Sendable, Equatable {
    /// As checkpoints call it.
    let name: String
    /// Place of the first such number, an index for each axis.
    let index: [Int]
    /// The number.
    let value: Float
    /// Whether updates change it.
    let isTrained: Bool

    /// The first in a tensor in row-major order; nil if all are finite.
    init?(name: String, shape: [Int], values: [Float], firstRow: Int = 0, isTrained: Bool) {
        guard let place = values.firstIndex(where: { !$0.isFinite }) else { return nil }
        var rest = place
        var index: [Int] = []
        for size in shape.dropFirst().reversed() {
            index.insert(rest % size, at: 0)
            rest /= size
        }
        self.name = name
        self.index = [firstRow + rest] + index
        value = values[place]
        self.isTrained = isTrained
    }

    /// The place, the number and what to do.
    ///
    /// - Parameter isUntouched: Whether nothing was updated yet.
    func description(isUntouched: Bool) -> String {
        let holds = "'\(name)' holds \(value) at \(index)"
        // Updates are not made of gradients that are not finite, but a rate can be too high for floats.
        return isTrained && !isUntouched
            ? "the weight \(holds); look whether the checkpoint does too, and fetch it again if so; "
                + "else lower the learning rate"
            : "the checkpoint's \(holds); fetch the checkpoint again, or use another"
    }
}

extension Trainee {
    /// Where a fault began, and what to do: other samples or rates mend no weight.
    ///
    /// - Parameters:
    ///   - fault: Nil if the model's own operations gave none; the head's product is the loss's.
    ///   - step: That is being taken; before the first nothing was updated.
    func explanation(of fault: NumericalFault?, step: Int) -> String {
        let place = fault?.place ?? "lm_head"
        guard let weight = damagedWeight(near: place) else {
            return fault?.description ?? "every operation of the model gave numbers"
        }
        return "\(place): \(weight.description(isUntouched: step == 1))"
    }
}

extension TrainableModel {
    /// `Trainee.damagedWeight`, of the model and of the adapter that is trained.
    func damagedWeight(near place: String, on device: Device) -> DamagedWeight? {
        let trained = Set(parameters.map(\.name))
        let weights = decoder.weights(on: device)
        let known = Set(weights.map(\.name))
        let part = Self.part(of: place)
        let isNear = { (name: String) in
            name.hasPrefix(part + ".") || name.contains("." + part + ".")
        }
        let isOutside = { (name: String) in !name.contains(Self.layers) }
        for isAsked in [isNear, isOutside] {
            for weight in weights where isAsked(weight.name) {
                let found = weight.damage(isTrained: trained.contains(weight.name))
                if let found { return found }
            }
            for parameter in parameters where isAsked(parameter.name) {
                guard !known.contains(parameter.name) else { continue }
                let found = DamagedWeight(
                    name: parameter.name, shape: parameter.shape, values: parameter.rowMajor(),
                    isTrained: true)
                if let found { return found }
            }
        }
        return nil
    }

    private static let layers = "model.layers."

    /// The layer of a place; a gradient's place is its parameter.
    private static func part(of place: String) -> String {
        guard let range = place.firstRange(of: layers) else { return place }
        return layers + place[range.upperBound...].prefix(while: \.isNumber)
    }
}

extension NamedWeight {
    /// Looks at some rows at a time, for a whole embedding may be larger than memory in float32.
    fileprivate func damage(isTrained: Bool) -> DamagedWeight? {
        let count = shape.count > 1 ? shape[0] : 1
        for first in stride(from: 0, to: count, by: 1024) {
            let found = DamagedWeight(
                name: name, shape: shape, values: rows(first..<min(count, first + 1024)),
                firstRow: first, isTrained: isTrained)
            if let found { return found }
        }
        return nil
    }
}
