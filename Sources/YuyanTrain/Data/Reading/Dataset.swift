import YuyanFormats
import YuyanText

/// One data set: its files as one sequence of rows, each read when asked for.
package struct Dataset: Sendable {
    /// A file and the shape of its rows.
    struct File: Sendable {
        let corpus: CorpusFile
        let parser: RowParser
        /// The place of its first row in the data set.
        let first: Int
    }

    /// What the recipe calls it.
    package let name: String
    let files: [File]
    /// Rows in the files.
    let fileRowCount: Int
    /// Rows that are used; more than there are repeats some.
    package let count: Int
    /// Factor of the loss.
    let weight: Float
    private let sampling: Permutation?

    /// Opens the files and looks at the first row of each.
    ///
    /// - Throws: `.corpus` if a file cannot be read, `.row` if its first row has no known shape.
    init(
        _ definition: DatasetDefinition, weight: Float, options: DataOptions, stream: UInt64
    ) throws(DataError) {
        name = definition.name
        self.weight = weight
        var files: [File] = []
        var first = 0
        for path in definition.files {
            let corpus: CorpusFile
            do throws(CorpusError) {
                corpus = try CorpusFile(path: path, passageBytes: options.passageBytes)
            } catch {
                throw .corpus(error)
            }
            let shape = try Self.shape(of: corpus, definition.names, options.badRows)
            files.append(
                File(
                    corpus: corpus,
                    parser: RowParser(
                        shape: shape, names: definition.names, asksOnly: options.stage == .prompts),
                    first: first))
            first += corpus.count
        }
        self.files = files
        fileRowCount = first
        let taken = definition.sampleCount ?? first
        count = min(taken, options.maxSamples ?? .max)
        sampling = definition.sampleCount.map { _ in
            Permutation(count: first, seed: options.seed, stream: stream)
        }
    }

    /// The shape of the first row that has one.
    private static func shape(
        of corpus: CorpusFile, _ names: ShapeNames, _ policy: DataOptions.BadRowPolicy
    ) throws(DataError) -> DataShape {
        var first: RowProblem?
        for position in 0..<corpus.count {
            let source = SampleSource(file: corpus.path, row: corpus.number(of: position))
            let problem: RowProblem
            do throws(CorpusError) {
                let row = try corpus.row(position)
                do throws(RowFault) {
                    return try DataShape(of: row.fields, names)
                } catch {
                    problem = RowProblem(source: source, kind: .malformed, reason: error.reason)
                }
            } catch {
                problem = RowProblem(source: source, kind: .unreadable, reason: error.reason)
            }
            first = first ?? problem
            // A file that is bad for long is bad.
            if policy == .stop || position >= 100 { break }
        }
        guard let first else { throw .corpus(.empty(file: corpus.path, format: corpus.format)) }
        throw .row(first)
    }

    /// The file and the place in it of a row that is used.
    func place(_ row: Int) -> (file: File, position: Int) {
        let inFiles = sampling.map { $0[row % fileRowCount] } ?? row
        let index = files.lastIndex { $0.first <= inFiles } ?? 0
        return (files[index], inFiles - files[index].first)
    }

    /// Where a row is, without reading it.
    func source(_ row: Int) -> SampleSource {
        let (file, position) = place(row)
        return SampleSource(file: file.corpus.path, row: file.corpus.number(of: position))
    }

    /// Reads and parses a row.
    ///
    /// - Throws: `.row`, or `.mixedShapes` if its shape is not that of its file.
    package func read(_ row: Int) throws(DataError) -> (row: DataRow, source: SampleSource) {
        let (file, position) = place(row)
        let source = SampleSource(file: file.corpus.path, row: file.corpus.number(of: position))
        let fields: CorpusFile.Row
        do throws(CorpusError) {
            fields = try file.corpus.row(position)
        } catch {
            throw .row(RowProblem(source: source, kind: .unreadable, reason: error.reason))
        }
        let shape: DataShape
        do throws(RowFault) {
            shape = try DataShape(of: fields.fields, file.parser.names)
        } catch {
            throw .row(RowProblem(source: source, kind: .malformed, reason: error.reason))
        }
        guard shape == file.parser.shape else {
            throw .mixedShapes(
                file: source.file, row: source.row, found: shape.description,
                expected: file.parser.shape.description)
        }
        do throws(RowFault) {
            return (try file.parser.parse(fields.fields, endsDocument: fields.endsDocument), source)
        } catch {
            throw .row(RowProblem(source: source, kind: .malformed, reason: error.reason))
        }
    }

    func addFingerprint(to hash: inout StableHash, isWhole: Bool) {
        for file in files { hash.add(file.corpus.fingerprint(isWhole: isWhole)) }
        hash.add(UInt64(count))
    }

    /// What was found, for the user.
    package var reports: [DatasetReport] {
        files.map {
            DatasetReport(
                dataset: name, file: $0.corpus.path,
                format: $0.corpus.format.rawValue + ($0.corpus.isPacked ? ", gzip" : ""),
                shape: $0.parser.shape.description, rows: $0.corpus.count)
        }
    }
}

/// What was found out about a file.
package struct DatasetReport: Sendable, Hashable, CustomStringConvertible {
    package let dataset: String
    package let file: String
    /// How its rows are written.
    package let format: String
    /// What their columns are.
    package let shape: String
    package let rows: Int

    package var description: String { "\(file): \(rows) rows, \(format), shape \(shape)" }
}

extension CorpusError {
    /// What is wrong with a row, without its place.
    var reason: String {
        guard case .row(let file, _, let reason) = self else { return description }
        return reason.hasPrefix(file) ? reason : "the row " + reason
    }
}
