import YuyanTensor

/// Where a model's weights come from, asked for by their Hugging Face names.
///
/// A file's own formats for serving; float32 with parameters for training; random numbers.
package protocol WeightSource {
    /// A matrix `[rows, columns]`; `rowOrder` is, for each output row, the row of the source.
    func matrix(
        _ name: String, rows: Int, columns: Int, rowOrder: [Int]?, on device: Device
    ) throws -> PackedMatrix
    /// A vector `[count]` in float32.
    func vector(_ name: String, count: Int, rowOrder: [Int]?) throws -> Tensor
}

extension WeightSource {
    /// `name.weight` `[out, in]` (and `name.bias` `[out]`) as a projection.
    ///
    /// - Parameters:
    ///   - rowOrder: For each output row, the row of the source that it is.
    ///   - module: Its number for adapters, which know it by `name`; nil if they cannot.
    package func linear(
        _ name: String, inputWidth: Int, outputWidth: Int, bias: Bool, rowOrder: [Int]? = nil,
        module: Int? = nil, on device: Device
    ) throws -> Linear {
        Linear(
            weight: try matrix(
                name + ".weight", rows: outputWidth, columns: inputWidth, rowOrder: rowOrder,
                on: device),
            bias: bias
                ? try vector(name + ".bias", count: outputWidth, rowOrder: rowOrder) : nil,
            module: module.map { Module(number: $0, path: name) })
    }
}
