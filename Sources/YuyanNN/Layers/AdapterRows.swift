import YuyanTensor

/// Which rows of an activation are updated by which adapter.
///
/// Rows of one adapter are taken together, however many segments they come from, so that sequences
/// that share an adapter share its products. Every row is computed by itself (docs/numerics.md,
/// "Low-rank updates"), so the grouping changes no bit.
public struct AdapterRows: Sendable {
    private struct Group {
        let adapter: LowRankAdapter
        /// Rows in ascending order; nil for all of them.
        var rows: [Int]?

        /// Its updates of some projections, with the projections' places.
        func updates(of projections: [any Projection]) -> [PlacedUpdate] {
            projections.enumerated().compactMap { index, projection in
                projection.module.flatMap { adapter.update(of: $0) }.map { (index, $0) }
            }
        }
    }

    typealias PlacedUpdate = (index: Int, update: LowRankAdapter.Update)

    private let groups: [Group]
    /// For each row of the activation, its row in the pass; nil if they are all rows in order.
    private let passRows: [Int]?

    /// The rows of a whole batch; nil if none of its segments has an adapter.
    init?(_ batch: TokenBatch) {
        guard batch.segments.contains(where: { $0.adapter != nil }) else { return nil }
        self.init(
            rowCount: batch.tokens.count,
            parts: batch.segments.lazy.map { ($0.adapter, $0.attention.rows) }, passRows: nil)
    }

    /// Some rows of a batch, taken out of it in this order; nil if none of them has an adapter.
    init?(_ batch: TokenBatch, rows: [Int]) {
        guard batch.segments.contains(where: { $0.adapter != nil }) else { return nil }
        let parts = rows.enumerated().map { place, row in
            (batch.segment(ofRow: row).adapter, place..<place + 1)
        }
        guard parts.contains(where: { $0.0 != nil }) else { return nil }
        self.init(rowCount: rows.count, parts: parts, passRows: rows)
    }

    private init(
        rowCount: Int, parts: some Sequence<(LowRankAdapter?, Range<Int>)>, passRows: [Int]?
    ) {
        self.passRows = passRows
        var groups: [Group] = []
        var places: [ObjectIdentifier: Int] = [:]
        for case (let adapter?, let rows) in parts {
            let place = places[ObjectIdentifier(adapter)] ?? groups.count
            if place == groups.count {
                places[ObjectIdentifier(adapter)] = place
                groups.append(Group(adapter: adapter, rows: []))
            }
            groups[place].rows?.append(contentsOf: rows)
        }
        if groups.count == 1, groups[0].rows?.count == rowCount { groups[0].rows = nil }
        self.groups = groups
    }

    /// Updates the products `[T, out]` of one input `[T, in]` with several projections' weights.
    func update(
        _ products: inout [Tensor], of projections: [any Projection], input x: Tensor,
        on device: Device
    ) {
        var single: [RowUpdate] = []
        for group in groups {
            for (index, projection) in projections.enumerated() {
                guard
                    let weight = projection.module.flatMap({ group.adapter.replacement(of: $0) })
                else { continue }
                let input = group.rows.map { gathered(x, rows: $0, on: device) } ?? x
                products[index].replace(group.rows, with: linear(input, [weight], on: device)[0])
            }
            let targets = group.updates(of: projections)
            guard !targets.isEmpty else { continue }
            let count = group.rows?.count ?? x.rowCount
            if count <= Self.mostSingleRows, device.training == nil {
                for (index, update) in targets {
                    for place in 0..<count {
                        single.append(
                            RowUpdate(
                                target: index, row: group.rows?[place] ?? place,
                                down: update.down, up: update.up, scale: update.scale,
                                gain: update.gain?.factors))
                    }
                }
                continue
            }
            let input = group.rows.map { gathered(x, rows: $0, on: device) } ?? x
            let inner = self.inner(input, of: group, targets.map(\.update), on: device)
            for ((index, update), inner) in zip(targets, inner) {
                products[index].add(update, inner: inner, at: group.rows, on: device)
            }
        }
        if !single.isEmpty { updateRows(&products, single, input: x, on: device) }
    }

    /// The updates of some projections, if one adapter has all rows and nothing is dropped out; then
    /// what their `down` gives may be computed together with the projections' own products.
    func sharedUpdates(
        of projections: [any Projection], rowCount: Int, on device: Device
    ) -> [PlacedUpdate]? {
        guard groups.count == 1, groups[0].rows == nil else { return nil }
        let isTraining = device.training != nil
        guard isTraining || rowCount > Self.mostSingleRows else { return nil }
        let adapter = groups[0].adapter
        guard !projections.contains(where: { $0.module.flatMap(adapter.replacement) != nil })
        else { return nil }
        let updates = groups[0].updates(of: projections)
        return isTraining && updates.contains { $0.update.dropout > 0 } ? nil : updates
    }

    /// What each update's `down` gives; with dropout, each of an input of its own.
    private func inner(
        _ x: Tensor, of group: Group, _ updates: [LowRankAdapter.Update], on device: Device
    ) -> [Tensor] {
        guard device.training != nil, updates.contains(where: { $0.dropout > 0 }) else {
            return linear(x, updates.map(\.down), on: device)
        }
        let rows = group.rows.map { rows in passRows.map { all in rows.map { all[$0] } } ?? rows }
        return updates.map { update in
            let dropped = dropout(
                x, probability: update.dropout, stream: update.stream, rows: rows ?? passRows,
                on: device)
            return linear(dropped, update.down, on: device)
        }
    }

    /// Gives the rows of adapters that change the embedding table what they put there.
    ///
    /// - Parameter x: Rows of the model's table, `[T, C]`, one for each of `tokens`.
    func updateEmbedding(_ x: inout Tensor, tokens: [Int32], on device: Device) {
        for group in groups {
            guard let change = group.adapter.embedding else { continue }
            let ids = group.rows.map { rows in rows.map { tokens[$0] } } ?? tokens
            if let table = change.table {
                x.replace(group.rows, with: embedding(ids, table: table, on: device))
            }
            guard let update = change.update else { continue }
            let inner = embedding(ids, table: update.down, on: device)
            x.add(
                linear(scaled(inner, by: update.scale, on: device), update.up, on: device),
                at: group.rows,
                gain: update.gain, on: device)
        }
    }

    /// Rows of one adapter up to which each is computed by itself, beside those of other adapters.
    private static let mostSingleRows = 2
}

extension Tensor {
    /// Adds what an update makes of its inner product to rows of this projection's product.
    mutating func add(
        _ update: LowRankAdapter.Update, inner: Tensor, at rows: [Int]?, on device: Device
    ) {
        add(
            linear(scaled(inner, by: update.scale, on: device), update.up, on: device), at: rows,
            gain: update.gain, on: device)
    }
}

extension TokenBatch {
    /// The segment that a row belongs to.
    fileprivate func segment(ofRow row: Int) -> Segment {
        var (low, high) = (0, segments.count)
        while high - low > 1 {
            let middle = (low + high) / 2
            if segments[middle].attention.rows.lowerBound <= row {
                low = middle
            } else {
                high = middle
            }
        }
        precondition(
            low < high && segments[low].attention.rows.contains(row),
            "row \(row) of a batch of \(tokens.count)")
        return segments[low]
    }
}
