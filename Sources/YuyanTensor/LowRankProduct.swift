import CYuyanKernels

/// A low-rank update of all rows of one of several products of one input.
package struct LowRankTerm: Sendable {
    /// Which product.
    let target: Int
    let down: PackedMatrix  // A, [r, in]
    let up: PackedMatrix  // B, [out, r]
    let scale: Float
    let gain: ColumnGain?

    package init(
        target: Int, down: PackedMatrix, up: PackedMatrix, scale: Float, gain: ColumnGain?
    ) {
        self.target = target
        self.down = down
        self.up = up
        self.scale = scale
        self.gain = gain
    }
}

/// Products of one input with several weights, each with at most one low-rank update.
///
/// The bits, and on the tape the operations, of `linear` with the weights and every `down` at once,
/// then `scaled`, `linear` with `up` and `Tensor.add`. Over many rows of float weights an update is
/// summed beside the product's own sums, and never in memory.
///
/// - Parameters:
///   - x: `[T, in]`.
///   - terms: Of different products.
/// - Returns: `x Wᵀ + (scale x Aᵀ) Bᵀ`, `[T, out]` each.
package func linear(
    _ x: Tensor, _ weights: [PackedMatrix], updatedBy terms: [LowRankTerm], on device: Device
) -> [Tensor] {
    if addsInRegisters(x, weights, terms, on: device) {
        return fusedProducts(x, weights, terms, on: device)
    }
    var products = linear(x, weights + terms.map(\.down), on: device)
    // A copy: a slice would share the products' memory, which is about to be written.
    let inner = Array(products[weights.count...])
    products.removeLast(terms.count)
    for (term, inner) in zip(terms, inner) {
        products[term.target].add(
            linear(scaled(inner, by: term.scale, on: device), term.up, on: device), at: nil,
            gain: term.gain, on: device)
    }
    return products
}

private func addsInRegisters(
    _ x: Tensor, _ weights: [PackedMatrix], _ terms: [LowRankTerm], on device: Device
) -> Bool {
    // The tripwire looks at every operation's result, so each must have one.
    x.rowCount > fewTokens && device.training?.tripwire == nil
        && !weights.contains { $0.isBlockQuantised && device.precision == .int16 }
        && terms.allSatisfy { term in
            term.gain == nil && term.up.format == YK_F32 && !term.down.isBlockQuantised
                && term.up.rows == weights[term.target].rows
        }
}

private func fusedProducts(
    _ x: Tensor, _ weights: [PackedMatrix], _ terms: [LowRankTerm], on device: Device
) -> [Tensor] {
    let downs = terms.map(\.down)
    for weight in weights + downs {
        precondition(
            x.width == weight.columns, "\(x.shape) times [\(weight.rows), \(weight.columns)]ᵀ")
    }
    var outputs = (weights + downs).map { Tensor(uninitialized: [x.rowCount, $0.rows]) }
    let tiles = packedTiles(x, on: device)
    multiplyTiles(
        nil, tiles, downs, rounds: downs.map { _ in false },
        into: Array(outputs[weights.count...]), on: device)
    device.record(
        "linear", &outputs,
        from: [x.source] + (weights + downs).map { $0.parameter.map { .parameter($0) } }
    ) { linearBackward(x, weights + downs) }
    var added = [AddedProduct?](repeating: nil, count: weights.count)
    let inner = zip(terms, outputs[weights.count...]).map { term, inner in
        let inner = scaled(inner, by: term.scale, on: device)
        let panels = FloatPanels(
            start: UnsafeRawPointer(term.up.panels).assumingMemoryBound(to: Float.self),
            stride: term.up.columns * Int(YK_PANEL), length: term.up.columns)
        added[term.target] = AddedProduct(panels: panels, tiles: packedTiles(inner, on: device))
        return inner
    }
    outputs.removeLast(terms.count)
    multiplyTiles(
        nil, tiles, weights, rounds: weights.map { _ in false }, adding: added, into: outputs,
        on: device)
    for (term, inner) in zip(terms, inner) {
        recordUpdate(of: &outputs[term.target], term, inner: inner, on: device)
    }
    return outputs
}

/// Records what the separate operations would: the product with `up`, and the sum.
private func recordUpdate(
    of product: inout Tensor, _ term: LowRankTerm, inner: Tensor, on device: Device
) {
    // Only the source of this tensor is used: its numbers were added without being stored.
    var update = [Tensor(uninitialized: [0])]
    device.record(
        "linear", &update, from: [inner.source, term.up.parameter.map { .parameter($0) }]
    ) { linearBackward(inner, [term.up]) }
    let (before, source) = (product.source, update[0].source)
    product.source = nil
    device.record("lowRankUpdate", &product, from: [before, source]) {
        updateBackward(before, source, at: nil, gain: nil, multiplied: nil)
    }
}
