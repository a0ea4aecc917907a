import YuyanTensor
import YuyanText

/// The data of a run: files opened, shapes known, training and validation told apart.
///
/// ```
/// let data = try TrainingData(options, tokenizer: tokenizer, template: template)
/// for report in data.reports { print(report) }
/// print(try data.preview().text(isColoured: true))
/// let survey = try data.survey(.training, pool: device.pool)  // counts everything once
/// let loader = try data.loader(.training, from: cursor)
/// while let loaded = try loader.next() { … loaded.batch … loaded.cursor … }
/// ```
package struct TrainingData: Sendable {
    /// What rows are for.
    package enum Part: String, Sendable, Hashable {
        case training, validation
    }

    package let options: DataOptions
    /// What was found out about each file.
    package let reports: [DatasetReport]
    private let training: RowStream
    private let validation: RowStream?

    /// Opens all files and looks at their first rows.
    ///
    /// - Parameters:
    ///   - template: The chat format of the model; nil if it has none.
    ///   - vocabularySize: Tokens that the model has embeddings of; rows with others are refused.
    /// - Throws: `DataError`.
    package init(
        _ options: DataOptions, tokenizer: Tokenizer, template: ChatTemplate?,
        vocabularySize: Int = .max
    ) throws(DataError) {
        try Self.check(options)
        self.options = options
        let renderer = SampleRenderer(
            tokenizer: tokenizer,
            chat: template.map { ChatRenderer(tokenizer: tokenizer, template: $0) },
            options: options, vocabularySize: vocabularySize)
        let info = try DatasetInfo(folder: options.folder, fetched: options.fetchedFolder)
        var datasets: [Dataset] = []
        for (index, reference) in options.datasets.enumerated() {
            let weight = options.lossWeights.isEmpty ? 1 : options.lossWeights[index]
            datasets.append(
                try Dataset(
                    try info.definition(of: reference), weight: Float(weight), options: options,
                    stream: DataStream.sampling(index)))
        }
        var others: [Dataset] = []
        for (index, reference) in options.evaluationDatasets.enumerated() {
            others.append(
                try Dataset(
                    try info.definition(of: reference), weight: 1, options: options,
                    stream: DataStream.sampling(options.datasets.count + index)))
        }
        reports = (datasets + others).flatMap(\.reports)
        let split = try Self.split(datasets, options)
        training = try RowStream(split.training, renderer: renderer, isShuffled: options.isShuffled)
        guard training.count > 0 else {
            throw .nothingToLearn(rows: 0, problems: [])
        }
        let held =
            others.isEmpty
            ? split.validation
            : others.map { RowStream.Share(dataset: $0, range: 0..<$0.count, order: nil) }
        var plain = options
        plain.mixing = .concat
        let reader = SampleRenderer(
            tokenizer: tokenizer, chat: renderer.chat, options: plain,
            vocabularySize: vocabularySize)
        let validation = try RowStream(held, renderer: reader, isShuffled: false)
        self.validation = validation.count > 0 ? validation : nil
    }

    /// Tells whether files are those of an earlier run, for training and validation.
    ///
    /// For checkpoints: a cursor into other data would go on with other rows.
    ///
    /// - Parameter isWhole: Whether every byte of the files counts; else their lengths, rows and first
    ///   and last 64 KiB, which is quick however long they are.
    package func fingerprint(isWhole: Bool) -> String {
        var hash = StableHash()
        for share in training.shares + (validation?.shares ?? []) {
            share.dataset.addFingerprint(to: &hash, isWhole: isWhole)
            hash.add(UInt64(share.range.count))
        }
        return String(hash.value, radix: 16)
    }

    /// Whether there is anything to validate on.
    package var hasValidation: Bool { validation != nil }

    /// Rows of an epoch, those that will be left out included.
    package func rowCount(_ part: Part) -> Int { stream(part)?.count ?? 0 }

    private func stream(_ part: Part) -> RowStream? {
        part == .training ? training : validation
    }

    private func units(_ part: Part) -> UnitStream? {
        stream(part).map { UnitStream($0, isShuffled: part == .training && options.isShuffled) }
    }

    /// Batches from a cursor on.
    ///
    /// - Parameters:
    ///   - cursor: Where to begin; from a checkpoint to go on.
    ///   - epochs: Ends before the epoch of this number; nil is endless for training, one epoch for
    ///     validation.
    ///   - batchSize: Of each batch; nil is what the options say.
    /// - Throws: `.setting` if there is no such part or the cursor is not in it, `.noThread`.
    package func loader(
        _ part: Part, from cursor: DataCursor = DataCursor(), epochs: Int? = nil,
        batchSize: Int? = nil
    ) throws(DataError) -> DataLoader {
        guard let units = units(part) else { throw Self.noValidation }
        return try DataLoader(
            units,
            batchSize: batchSize
                ?? (part == .training ? options.batchSize : options.evaluationBatchSize),
            from: cursor, epochs: epochs ?? (part == .training ? nil : 1),
            readAhead: options.readAhead)
    }

    /// Renders every row once, to count it and to find every bad one before the run starts.
    ///
    /// - Parameter pool: Threads to share the work.
    /// - Throws: The first bad row's error unless such rows are left out; `.nothingToLearn`.
    package func survey(_ part: Part, pool: ThreadPool) throws(DataError) -> DataSurvey {
        guard let units = units(part) else { throw Self.noValidation }
        return try DataSurvey(
            units, batchSize: part == .training ? options.batchSize : options.evaluationBatchSize,
            pool: pool)
    }

    /// The first sample that training will see.
    ///
    /// - Throws: What is wrong with the first row, or `.nothingToLearn`.
    package func preview() throws(DataError) -> SamplePreview {
        var tally = DataTally()
        for place in 0..<training.count {
            let outcome = try training.render(epoch: 0, place: place)
            tally.add(outcome)
            if case .rendered(let row) = outcome, let sample = row.samples.first {
                return SamplePreview(sample: sample, tokenizer: training.renderer.tokenizer)
            }
        }
        throw .nothingToLearn(rows: tally.rows, problems: tally.problems)
    }

    private static let noValidation = DataError.setting(
        key: "val_size", found: "not given", expected: "a number of rows, a share, or eval_dataset")

    // MARK: - Settings

    private static func check(_ options: DataOptions) throws(DataError) {
        func need(
            _ isTrue: Bool, _ key: String, _ found: String, _ expected: String
        ) throws(DataError) {
            if !isTrue { throw .setting(key: key, found: found, expected: expected) }
        }
        try need(!options.datasets.isEmpty, "dataset", "empty", "a file or a list of files")
        try need(
            options.cutoffLength >= 2, "cutoff_len", "\(options.cutoffLength)", "2 tokens or more")
        try need(
            options.batchSize >= 1, "per_device_train_batch_size", "\(options.batchSize)",
            "1 or more")
        try need(
            options.evaluationBatchSize >= 1, "per_device_eval_batch_size",
            "\(options.evaluationBatchSize)", "1 or more")
        try need(
            options.maxSamples.map { $0 >= 1 } ?? true, "max_samples",
            "\(options.maxSamples ?? 0)", "1 or more")
        try need(
            options.passageBytes >= 16, "passage_bytes", "\(options.passageBytes)", "16 or more")
        try need(
            options.evaluationDatasets.isEmpty || options.validation == .none, "val_size",
            "given beside eval_dataset", "one of the two")
        let weights = options.lossWeights
        try need(
            weights.isEmpty
                || weights.count == options.datasets.count
                    && weights.allSatisfy { Float($0) > 0 && Float($0).isFinite },
            "dataset_weights", "\(weights)",
            "\(options.datasets.count) float32 numbers above 0, one for each data set")
        switch options.validation {
        case .none: break
        case .rows(let count): try need(count >= 1, "val_size", "\(count)", "1 or more rows")
        case .share(let share):
            try need(share > 0 && share < 1, "val_size", "\(share)", "a share between 0 and 1")
        }
    }

    /// Divides each data set at random, so that no row is in both parts.
    private static func split(
        _ datasets: [Dataset], _ options: DataOptions
    ) throws(DataError) -> (training: [RowStream.Share], validation: [RowStream.Share]) {
        let total = datasets.reduce(0) { $0 + $1.count }
        let wanted =
            switch options.validation {
            case .none: 0
            case .rows(let count): count
            case .share(let share): max(1, Int((Double(total) * share).rounded()))
            }
        guard wanted < total else {
            throw .setting(
                key: "val_size", found: "\(wanted) of \(total) rows",
                expected: "fewer, so that some are left to train on")
        }
        if let twice = datasets.first(where: { $0.count > $0.fileRowCount }), wanted > 0 {
            throw .setting(
                key: "val_size",
                found: "given, with \(twice.count) of \(twice.fileRowCount) rows of \(twice.name)",
                expected: "no repeated rows, which would be in both parts; use eval_dataset")
        }
        var (training, validation): ([RowStream.Share], [RowStream.Share]) = ([], [])
        var (seen, held) = (0, 0)
        for (index, dataset) in datasets.enumerated() {
            seen += dataset.count
            // Rounding the running sum makes the parts add up.
            let upTo = Int((Double(wanted) * Double(seen) / Double(max(1, total))).rounded())
            let order =
                wanted == 0
                ? nil
                : Permutation(
                    count: dataset.count, seed: options.seed,
                    stream: DataStream.validation() | UInt64(index))
            validation.append(
                RowStream.Share(dataset: dataset, range: 0..<(upTo - held), order: order))
            training.append(
                RowStream.Share(
                    dataset: dataset, range: (upTo - held)..<dataset.count, order: order))
            held = upTo
        }
        return (training, validation)
    }
}
