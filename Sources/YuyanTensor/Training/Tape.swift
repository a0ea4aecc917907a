/// The operations of one forward pass, in order, with what their backward needs.
///
/// Operations record themselves when an input has a `GradientSource`, so what no gradient reaches
/// costs nothing. `backward` runs the entries in reverse and frees each before the next. Coarse
/// operations with hand-written derivatives, as in Karpathy's llm.c; no language autodiff.
///
/// Unchecked: used by the one thread that runs the pass.
package final class Tape: @unchecked Sendable {
    /// Receives the gradients of the outputs (nil where none arrived) and passes them on.
    typealias Backward = (_ outputs: [Tensor?], _ gradients: inout Gradients) -> Void

    private struct Entry {
        let name: StaticString
        let place: String
        let outputs: Range<Int>
        let backward: Backward
    }

    /// Whether entries are dropped: a pass that only asks what gradients would reach.
    package let discards: Bool
    private var entries: [Entry] = []
    private var nodeCount = 0

    package convenience init() { self.init(discards: false) }

    package init(discards: Bool) { self.discards = discards }

    /// Number of recorded operations.
    package var entryCount: Int { entries.count }

    /// The same numbers as an input of this tape, whose gradient `backward` gives.
    package func leaf(_ x: Tensor) -> Tensor {
        var leaf = x
        leaf.source = .node(tape: ObjectIdentifier(self), index: nodeCount)
        nodeCount += 1
        return leaf
    }

    /// Makes `outputs` nodes of this tape.
    func record(
        _ name: StaticString, place: String, _ outputs: inout [Tensor], _ backward: () -> Backward
    ) {
        let first = nodeCount
        nodeCount += outputs.count
        for index in outputs.indices {
            outputs[index].source = .node(tape: ObjectIdentifier(self), index: first + index)
        }
        guard !discards else { return }
        entries.append(
            Entry(
                name: name, place: place, outputs: first..<nodeCount, backward: backward()))
    }

    /// Passes gradients back through all entries, which are gone afterwards.
    ///
    /// Parameters' gradients are added to. The sums at each tensor are in reverse order of its uses.
    ///
    /// - Parameters:
    ///   - seeds: Outputs with their gradients; those without a source are passed over.
    ///   - device: Its pass, if it has one, is asked for the tripwire only.
    /// - Returns: The gradients of leaves.
    @discardableResult
    package func backward(_ seeds: [(output: Tensor, gradient: Tensor)], on device: Device)
        -> Gradients
    {
        let tripwire = device.training?.tripwire
        var gradients = Gradients(tape: ObjectIdentifier(self), device: device.inferring)
        for (output, gradient) in seeds { gradients.add(gradient, to: output.source) }
        while let entry = entries.popLast() {
            let arrived = entry.outputs.map { gradients.take($0) }
            guard arrived.contains(where: { $0 != nil }) else { continue }
            for gradient in arrived {
                guard let tripwire, let gradient else { continue }
                tripwire.check(gradient, operation: entry.name, place: entry.place, .backward)
            }
            entry.backward(arrived, &gradients)
        }
        return gradients
    }
}

/// Gradients on their way back: one slot for each tensor that waits for more.
package struct Gradients {
    private let tape: ObjectIdentifier
    /// For the backward operations; records nothing.
    package let device: Device
    private var slots: [Int: Tensor] = [:]

    init(tape: ObjectIdentifier, device: Device) {
        self.tape = tape
        self.device = device
    }

    /// Adds a gradient, in a fixed order: that of the calls.
    package mutating func add(_ gradient: Tensor, to source: GradientSource?) {
        switch source {
        case nil: return
        case .parameter(let parameter):
            guard parameter.isTrainable else { return }
            precondition(gradient.count == parameter.storageCount, "\(gradient.shape)")
            let sum = parameter.zeroedAccumulator()
            for index in 0..<gradient.count { sum[index] += gradient.pointer[index] }
        case .node(let tape, let index):
            precondition(tape == self.tape, "a tensor of one tape was used on another")
            guard let sum = slots.removeValue(forKey: index) else {
                slots[index] = gradient
                return
            }
            slots[index] = Tensor.sum(sum, gradient, on: device)
        }
    }

    /// The gradient of a leaf, nil if none arrived.
    package mutating func take(_ leaf: Tensor) -> Tensor? {
        guard case .node(let tape, let index) = leaf.source else { return nil }
        precondition(tape == self.tape, "a leaf of another tape")
        return take(index)
    }

    mutating func take(_ index: Int) -> Tensor? { slots.removeValue(forKey: index) }
}
