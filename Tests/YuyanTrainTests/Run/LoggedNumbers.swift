import TestSupport
import YuyanFormats

extension TemporaryFolder {
    /// The logged objects of a run without what depends on the machine.
    func loggedNumbers(_ output: String) throws -> [[String: Double]] {
        let text = String(decoding: try bytes("\(output)/metrics.jsonl"), as: UTF8.self)
        return try text.split(separator: "\n").map { line in
            var found: [String: Double] = [:]
            for (key, value) in try JSONDocument(
                bytes: Array(line.utf8), name: "metrics"
            ).root.entries ?? []
            where !["tokens_per_second", "step_time", "eps"].contains(key)
                && !key.hasPrefix("memory")
            {
                found[key] = value.double
            }
            return found
        }
    }
}
