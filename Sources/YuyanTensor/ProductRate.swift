import CYuyanKernels
import YuyanFormats

extension Device {
    /// Measures `linear` in 10⁹ multiply-adds times two a second, on weights of one element type.
    ///
    /// In `Precision.int16` a block format's rate may exceed the float peak: one instruction does
    /// twice as many products.
    ///
    /// - Parameters:
    ///   - elementType: One that `PackedMatrix` takes.
    ///   - tokens: Rows of the activation; 1 measures the streaming path.
    ///   - width: Input and output features; a multiple of 256.
    /// - Throws: `WeightError` if the type has no kernels.
    public func measuredProduct(
        _ elementType: ElementType, tokens: Int = 512, width: Int = 1536, repeats: Int = 5
    ) throws(WeightError) -> Double {
        let weight = try PackedMatrix(
            .zeros(elementType, shape: [width, width], name: "probe"), on: self)
        let values = (0..<tokens * width).map { Float($0 % 251 - 125) / 125 }
        let x = Tensor(values, shape: [tokens, width])
        return rate(repeats, tokens: tokens, width: width) { _ = linear(x, weight, on: self) }
    }

    /// Measures the two products of a training step's way back, likewise, on float32 weights.
    ///
    /// - Parameters:
    ///   - tokens: Rows of the activation and of the gradient.
    ///   - width: Input and output features.
    /// - Returns: 10⁹ operations a second of the input's gradient and of the weight's.
    public func measuredGradients(
        tokens: Int = 1024, width: Int = 576, repeats: Int = 5
    ) throws(WeightError) -> (input: Double, weight: Double) {
        let weight = try PackedMatrix(.zeros(.f32, shape: [width, width], name: "probe"), on: self)
        let values = (0..<tokens * width).map { Float($0 % 251 - 125) / 125 }
        let x = Tensor(values, shape: [tokens, width])
        let gradient = Tensor(zeros: [(width + 15) / 16 * 16, width])
        return (
            rate(repeats, tokens: tokens, width: width) {
                _ = inputGradient([x], [weight], on: self)
            },
            rate(repeats, tokens: tokens, width: width) {
                accumulateWeightGradient(
                    x, x, into: gradient.pointer, outputs: width, resume: true, on: self)
            }
        )
    }

    /// The fastest of several runs, after one to warm up, of a product with a square weight.
    private func rate(_ repeats: Int, tokens: Int, width: Int, _ body: () -> Void) -> Double {
        let clock = ContinuousClock()
        var fastest = Double.infinity
        for _ in 0...repeats {
            let start = clock.now
            body()
            fastest = min(fastest, (clock.now - start) / .seconds(1))
        }
        return 2 * Double(tokens) * Double(width) * Double(width) / fastest / 1e9
    }

    /// What each operation of a decoder runs on this device, for people to read.
    public var kernelChoices: [(operation: String, kernel: String)] {
        let table = kernels.table.pointee
        let rounded =
            precision == .int16
            ? "int16 activations, tiles of \(table.tile_int16) tokens"
            : "float32 activations, tiles of \(table.tile_float) tokens"
        let name = kernelName
        return [
            ("products, float weights", "\(name), tiles of \(table.tile_float) tokens"),
            ("products, block formats", "\(name), \(rounded)"),
            ("products, one token", "\(name), panels of 16 outputs streamed"),
            ("attention", "\(name), tiles of \(KeyValueLayout.blockTokens) keys"),
            ("norms, rotation, activation", name),
            ("exp, softmax, argmax", name),
        ]
    }
}
