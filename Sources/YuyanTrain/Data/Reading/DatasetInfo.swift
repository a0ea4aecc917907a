import YuyanFormats
import YuyanText

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// What a recipe or a description says about one data set, before its files are opened.
struct DatasetDefinition: Sendable, Hashable {
    /// How messages call it.
    var name: String
    var files: [String]
    var names = ShapeNames()
    /// Random rows to take; nil takes all.
    var sampleCount: Int?
}

/// LLaMA-Factory's registry of data sets, `dataset_info.json`.
struct DatasetInfo {
    let folder: String
    /// Looked into last: where `scripts/fetch-data` puts its sets.
    private let fetched: String?
    private let document: JSONDocument?
    /// Rows that may be asked for: each takes four bytes while the data is counted.
    private static let counts = 1...1_000_000_000

    /// Reads the registry of a folder, if it has one.
    init(folder: String, fetched: String? = nil) throws(DataError) {
        self.folder = folder
        self.fetched = fetched
        let path = joined(folder, "dataset_info.json")
        guard isThere(path) else {
            document = nil
            return
        }
        do throws(FormatError) {
            let document = try JSONDocument(path: path)
            guard document.root.kind == .object else {
                throw .wrongType(
                    file: path, key: "the document", found: "\(document.root.kind)",
                    expected: "an object of data sets")
            }
            self.document = document
        } catch {
            throw .format(error)
        }
    }

    /// Finds what a recipe calls a data set: `NAME` or `PATH`, maybe with `#N` behind it.
    func definition(of reference: String) throws(DataError) -> DatasetDefinition {
        var (name, count) = (reference, Int?.none)
        if let hash = reference.lastIndex(of: "#"), !isThere(reference) {
            let digits = reference[reference.index(after: hash)...]
            guard let number = Int(digits), Self.counts.contains(number) else {
                throw .setting(
                    key: "dataset", found: reference,
                    expected: "a number of rows behind '#', at most \(Self.counts.upperBound)")
            }
            (name, count) = (String(reference[..<hash]), number)
        }
        var found: DatasetDefinition
        if isThere(name) {
            found = DatasetDefinition(name: name, files: try files(at: name))
        } else if let entry = document?.root[name] {
            found = try definition(of: name, entry)
        } else if isThere(joined(folder, name)) {
            found = DatasetDefinition(name: name, files: try files(at: joined(folder, name)))
        } else if let fetched,
            let definition = try DatasetInfo(folder: fetched).fetchedDefinition(of: name)
        {
            found = definition
        } else {
            let known = document?.root.entries?.map(\.key) ?? []
            throw .unknownDataset(
                name: name, folder: folder, fetched: fetched,
                nearest: nearestNames(to: name, in: known))
        }
        if let count { found.sampleCount = count }
        return found
    }

    /// A set of `scripts/fetch-data`, in the form that the registry beside it says, if that is there.
    private func fetchedDefinition(of name: String) throws(DataError) -> DatasetDefinition? {
        let endings = ["", ".json", ".jsonl", ".txt"]
        guard let path = endings.map({ joined(folder, name + $0) }).first(where: isThere) else {
            return nil
        }
        if let entry = document?.root[name] { return try definition(of: name, entry) }
        return DatasetDefinition(name: name, files: try files(at: path))
    }

    private func definition(
        of name: String, _ entry: JSONCursor
    ) throws(DataError) -> DatasetDefinition {
        do throws(FormatError) {
            guard let file = try entry.optionalString("file_name") else {
                let remote = ["hf_hub_url", "ms_hub_url", "om_hub_url", "script_url"]
                    .first { entry[$0] != nil }
                throw .badValue(
                    file: joined(folder, "dataset_info.json"), key: name,
                    found: remote.map { "a data set at '\($0)'" } ?? "without 'file_name'",
                    expected: "a local file; download it and name it with 'file_name'")
            }
            var definition = DatasetDefinition(name: name, files: [])
            definition.names = try shapeNames(name, entry)
            definition.sampleCount = try entry.optionalInt("num_samples")
            if let count = definition.sampleCount, !Self.counts.contains(count) {
                throw .badValue(
                    file: joined(folder, "dataset_info.json"), key: "\(name).num_samples",
                    found: "\(count)", expected: "1 to \(Self.counts.upperBound)")
            }
            return try located(definition, file)
        } catch {
            throw .format(error)
        }
    }

    private func located(
        _ definition: DatasetDefinition, _ file: String
    ) throws(FormatError) -> DatasetDefinition {
        var definition = definition
        do throws(DataError) {
            definition.files = try files(at: joined(folder, file))
        } catch {
            throw .cannotOpen(file: joined(folder, file), reason: "\(error)")
        }
        return definition
    }

    private func shapeNames(_ name: String, _ entry: JSONCursor) throws(FormatError) -> ShapeNames {
        var names = ShapeNames()
        let place = joined(folder, "dataset_info.json")
        let formatting = try entry.optionalString("formatting")
        names.columns = try texts(entry["columns"], "columns")
        names.tags = try texts(entry["tags"], "tags")
        names.isRanking = try entry.optionalBool("ranking") ?? false
        switch formatting {
        case "sharegpt": names.base = .sharegpt
        case "openai":
            names.base = .sharegpt
            let standard = [
                "role_tag": "role", "content_tag": "content", "user_tag": "user",
                "assistant_tag": "assistant", "observation_tag": "tool",
                "function_tag": "function_call", "system_tag": "system",
            ]
            names.tags.merge(standard) { own, _ in own }
            if names.columns["messages"] == nil { names.columns["messages"] = "messages" }
        case "alpaca": names.base = .alpaca
        // Without a word about its form, an entry says nothing that the rows do not.
        case nil: names.base = names.columns.isEmpty && !names.isRanking ? nil : .alpaca
        case .some(let other):
            throw .badValue(
                file: place, key: "\(name).formatting", found: other,
                expected: "alpaca, sharegpt or openai")
        }
        // A column for texts alone is how LLaMA-Factory names what is learnt as it is.
        if names.base == .alpaca, names.columns["prompt"] != nil, names.columns["response"] == nil,
            names.columns.count == 1, !names.isRanking
        {
            names.base = names.columns["prompt"] == "instruction" ? .alpaca : .text
        }
        for key in ["images", "videos", "audios"] where names.columns[key] != nil {
            throw .badValue(
                file: place, key: "\(name).columns.\(key)", found: "a column",
                expected: "none: pictures and sound are not read")
        }
        return names
    }

    private func texts(_ value: JSONCursor?, _ key: String) throws(FormatError) -> [String: String]
    {
        guard let value, !value.isNull else { return [:] }
        var result: [String: String] = [:]
        for (name, text) in value.entries ?? [] {
            // A column that is switched off is null.
            if !text.isNull { result[name] = try value.string(name) }
        }
        return result
    }

    /// A file, or all data files of a folder by name.
    private func files(at path: String) throws(DataError) -> [String] {
        guard let folder = opendir(path) else { return [path] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { place in
                place.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            let known = [".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".txt", ".text", ".md"]
            let isData = known.contains { name.hasSuffix($0) || name.hasSuffix($0 + ".gz") }
            if isData, !name.hasPrefix("."), name != "dataset_info.json" { names.append(name) }
        }
        guard !names.isEmpty else {
            throw .setting(
                key: "dataset", found: "\(path), a folder without data files",
                expected: "files named .jsonl, .json, .csv, .tsv or .txt, each also with .gz")
        }
        return names.sorted().map { joined(path, $0) }
    }
}

private func joined(_ folder: String, _ name: String) -> String {
    name.hasPrefix("/") ? name : folder.isEmpty ? name : folder + "/" + name
}

private func isThere(_ path: String) -> Bool {
    !path.utf8.contains(0) && access(path, F_OK) == 0
}
