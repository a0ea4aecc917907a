/// The backward of `linear(_:_:on:)`: `dX = Σ dYᵢ Wᵢ`, and `dWᵢ = dYᵢᵀ X` for the weights that are trained.
///
/// Frozen weights keep nothing of the input; block-quantised ones are widened anew.
func linearBackward(_ x: Tensor, _ weights: [PackedMatrix]) -> Tape.Backward {
    let isAnyTrained = weights.contains { $0.trainedParameter != nil }
    let saved = isAnyTrained ? SavedTensor(x) : nil
    let (source, shape) = (x.source, x.shape)
    return { arrived, gradients in
        let device = gradients.device
        let reached = weights.indices.filter { arrived[$0] != nil }
        let dys = reached.compactMap { arrived[$0] }
        let reachedWeights = reached.map { weights[$0] }
        if let saved, reachedWeights.contains(where: { $0.trainedParameter != nil }) {
            accumulate(dys, reachedWeights, saved.tensor(on: device), on: device)
        }
        guard source != nil else { return }
        let dx = inputGradient(dys, reachedWeights, on: device)
        gradients.add(dx.reshaped(to: shape), to: source)
    }
}

/// Adds `dYᵢᵀ X` to the gradients of the weights that are trained: those that begin, then those that go on.
private func accumulate(
    _ dys: [Tensor], _ weights: [PackedMatrix], _ x: Tensor, on device: Device
) {
    var sums: [Bool: [(dy: Tensor, start: UnsafeMutablePointer<Float>)]] = [:]
    for (dy, weight) in zip(dys, weights) {
        guard let parameter = weight.trainedParameter else { continue }
        let (start, resume) = parameter.accumulator()
        sums[resume, default: []].append((dy, start))
    }
    for resume in [false, true] {
        guard let sums = sums[resume] else { continue }
        accumulateWeightGradients(
            sums.map(\.dy), x, into: sums.map(\.start), resume: resume, on: device)
    }
}

extension PackedMatrix {
    /// The parameter, unless it is frozen for now.
    var trainedParameter: Parameter? {
        parameter.flatMap { $0.isTrainable ? $0 : nil }
    }
}

/// The backward of `Tensor.add(_:at:gain:on:)`.
///
/// With a gain `y = (p + u) g`: `dp = du = dy g`. The magnitude's sum runs over tokens in row order,
/// resumed by later passes: `dm = dm + (dy (p + u)) / length`, the quotient taken as a product with
/// the rounded inverse. Lengths are constants, as Liu et al., arXiv:2402.09353, section 4.3, have it.
func updateBackward(
    _ product: GradientSource?, _ update: GradientSource?, at rows: [Int]?, gain: ColumnGain?,
    multiplied: Tensor?
) -> (_ dy: Tensor, _ gradients: inout Gradients) -> Void {
    { dy, gradients in
        let device = gradients.device
        var dz = dy
        if let gain {
            let width = dy.width
            if let trained = gain.trained, trained.magnitude.isTrainable, let multiplied {
                let sum = trained.magnitude.zeroedAccumulator()
                let inverse = trained.inverseLengths.pointer
                for index in 0..<multiplied.rowCount {
                    let from = dy.pointer + (rows?[index] ?? index) * width
                    let p = multiplied.pointer + index * width
                    for column in 0..<width {
                        sum[column] += from[column] * p[column] * inverse[column]
                    }
                }
            }
            dz.makeUnique()
            let (target, factors) = (dz.pointer, gain.factors.pointer)
            forEachRow(rows?.count ?? dy.rowCount, width: width, on: device) { index in
                let row = target + (rows?[index] ?? index) * width
                for column in 0..<width { row[column] *= factors[column] }
            }
        }
        if update != nil {
            gradients.add(rows.map { gathered(dz, rows: $0, on: device) } ?? dz, to: update)
        }
        gradients.add(dz, to: product)
    }
}
