import YuyanText

/// The rows of one part of the data in the order of each epoch, rendered one by one.
struct RowStream: Sendable {
    /// What came of a row.
    enum Outcome: Sendable {
        case rendered(RenderedRow)
        case skipped(RowProblem)
    }

    /// Rows of a data set that belong to this part.
    struct Share: Sendable {
        let dataset: Dataset
        /// Places in `order`, or in the data set itself.
        let range: Range<Int>
        /// The random order that was divided between training and validation.
        let order: Permutation?

        func row(_ index: Int) -> Int {
            let place = range.lowerBound + index
            return order.map { $0[place] } ?? place
        }
    }

    let shares: [Share]
    let order: RowOrder
    let renderer: SampleRenderer

    init(_ shares: [Share], renderer: SampleRenderer, isShuffled: Bool) throws(DataError) {
        let isConcatenated = renderer.options.mixing == .concat
        guard isConcatenated || !shares.contains(where: \.range.isEmpty) else {
            throw .setting(
                key: "val_size", found: "all rows of a data set that is mixed by its share",
                expected: "fewer, so that some are left to train on")
        }
        self.shares = shares.filter { !$0.range.isEmpty }
        self.renderer = renderer
        order = try RowOrder(
            sizes: self.shares.map(\.range.count), options: renderer.options,
            isShuffled: isShuffled)
    }

    /// Rows of an epoch.
    var count: Int { order.count }

    /// Where the row at a place is.
    func source(epoch: Int, place: Int) -> SampleSource {
        let address = order.address(epoch: epoch, place: place)
        let share = shares[address.dataset]
        return share.dataset.source(share.row(address.row))
    }

    /// Reads and renders the row at a place of an epoch.
    ///
    /// - Throws: What is wrong with it, unless such rows are left out.
    func render(epoch: Int, place: Int) throws(DataError) -> Outcome {
        try render(order.address(epoch: epoch, place: place))
    }

    func render(_ address: RowOrder.Address) throws(DataError) -> Outcome {
        let share = shares[address.dataset]
        let row = share.row(address.row)
        do throws(DataError) {
            let (content, source) = try share.dataset.read(row)
            return .rendered(
                try renderer.render(
                    content, source, weight: share.dataset.weight,
                    shape: share.dataset.place(row).file.parser.shape.description))
        } catch {
            guard let problem = error.problem, isSkipped(problem) else { throw error }
            return .skipped(problem)
        }
    }

    private func isSkipped(_ problem: RowProblem) -> Bool {
        if problem.kind == .overlong, renderer.options.overlong == .skip { return true }
        return renderer.options.badRows == .skip
    }
}

extension DataError {
    /// What is wrong with a row, if it is about one.
    fileprivate var problem: RowProblem? {
        switch self {
        case .row(let problem): problem
        case .mixedShapes(let file, let row, let found, let expected):
            RowProblem(
                source: SampleSource(file: file, row: row), kind: .malformed,
                reason: "has the shape \(found), expected \(expected) as the first row")
        default: nil
        }
    }
}
