import TestSupport
import YuyanFormats

@testable import YuyanNN
@testable import YuyanTensor

typealias PlainParameter = Parameter

extension Parameter {
    /// A parameter in plain memory.
    convenience init(_ name: String, _ values: [Float], shape: [Int]? = nil) {
        let storage = Storage(byteCount: values.count * MemoryLayout<Float>.stride)
        let start = storage.start.assumingMemoryBound(to: Float.self)
        for (index, value) in values.enumerated() { start[index] = value }
        self.init(
            name: name, shape: shape ?? [values.count], start: start, storageCount: values.count,
            owner: storage)
    }

    func setGradient(_ gradient: [Float]) {
        precondition(gradient.count == storageCount)
        zeroGradient()
        let start = accumulator().start
        for (index, value) in gradient.enumerated() { start[index] = value }
    }

    var current: [Float] { Array(values) }
}

/// The gradient of a step, as `Tools/goldens/optimizers.py` makes it.
func goldenGradient(step: Int, _ count: Int) -> [Float] {
    noise(100 + UInt32(step), count).enumerated().map {
        $1 * Float(sign: .plus, exponent: -3 * ($0 % 5), significand: 1)
    }
}

/// `Tests/Goldens/optim/cases.json`.
func optimizerCases() throws -> JSONDocument {
    try JSONDocument(path: Goldens.path("optim/cases.json"))
}

/// What a golden case was made with.
struct GoldenSettings {
    let learningRate: Double
    let weightDecay: Double
    let rule: any UpdateRule

    init(_ name: String, _ settings: JSONCursor) throws {
        learningRate = try settings.double("lr")
        weightDecay = try settings.optionalDouble("weight_decay") ?? 0
        let betas =
            (settings.entries ?? []).first { $0.key == "betas" }?.value.array?
            .compactMap(\.double) ?? []
        if name.hasPrefix("adamw") {
            rule = AdamW(
                beta1: betas.first ?? 0.9, beta2: betas.last ?? 0.999,
                epsilon: try settings.optionalDouble("eps") ?? 1e-8)
        } else if name.hasPrefix("lion") {
            rule = Lion(beta1: betas.first ?? 0.9, beta2: betas.last ?? 0.99)
        } else {
            rule = SGD(
                momentum: try settings.optionalDouble("momentum") ?? 0,
                dampening: try settings.optionalDouble("dampening") ?? 0,
                isNesterov: try settings.optionalBool("nesterov") ?? false)
        }
    }
}

extension Optimizer {
    /// The numbers of a saved array.
    func floats(_ name: String) -> [Float] {
        raw(name).map { Float(bitPattern: $0) }
    }

    func codes(_ name: String) -> [UInt8] {
        guard let array = arrays.first(where: { $0.name == name }) else { return [] }
        return withBytes(of: array) { bytes in
            bytes.withUnsafeBytes { Array($0) }
        }
    }

    private func raw(_ name: String) -> [UInt32] {
        let bytes = codes(name)
        return stride(from: 0, to: bytes.count, by: 4).map { at in
            (0..<4).reduce(0) { $0 | UInt32(bytes[at + $1]) << UInt32(8 * $1) }
        }
    }

    /// `optimizer.safetensors`, as a checkpoint writes it.
    func image() throws -> SafetensorsFile {
        var header: [String] = []
        var data: [UInt8] = []
        for array in arrays {
            let bytes = codes(array.name)
            let type = array.elementType.safetensorsName ?? ""
            header.append(
                #""\#(array.name)":{"dtype":"\#(type)","shape":[\#(array.count)],"#
                    + #""data_offsets":[\#(data.count),\#(data.count + bytes.count)]}"#)
            data += bytes
        }
        let text = "{" + header.joined(separator: ",") + "}"
        return try SafetensorsFile(
            file: MappedFile(bytes: SafetensorsImage(text, data: data).bytes, name: "image"))
    }
}
