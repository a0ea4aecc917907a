import TestSupport
import Testing
import YuyanFormats

@testable import YuyanTrain

@Suite("metrics.jsonl")
struct MetricsLogTests {
    private func entry(_ step: Int, _ loss: Double) -> MetricsEntry {
        MetricsEntry(
            step: step, metrics: [("loss", .double(loss))],
            measurements: [("tokens_per_second", 3.5)])
    }

    private func text(_ path: String) throws -> String {
        let file = try MappedFile(path: path)
        return file.withBytes { all in all.withUnsafeBytes { String(decoding: $0, as: UTF8.self) } }
    }

    @Test("lines are objects in order, measurements behind what every run shares")
    func writes() throws {
        let folder = TemporaryFolder()
        let path = folder.path + "/metrics.jsonl"
        let log = try MetricsLog(path: path, after: -1)
        try log.append(entry(1, 2.5))
        try log.append(entry(2, 0.1))
        #expect(
            try text(path) == """
                {"step": 1, "loss": 2.5, "tokens_per_second": 3.5}
                {"step": 2, "loss": 0.1, "tokens_per_second": 3.5}

                """)
        #expect(entry(1, 2.5).deterministic.description == "{\"step\": 1, \"loss\": 2.5}")
    }

    @Test("going on removes later lines, a torn line, and what is no line")
    func cuts() throws {
        let folder = TemporaryFolder()
        let whole = (1...4).map { entry($0, 1).line + "\n" }.joined()
        for (after, count, tail, lines) in [
            (2, nil, "", 2), (4, nil, "{\"step\": 5, \"lo", 4), (9, nil, "{\"step\": 5, \"lo", 4),
            (-1, nil, "", 0), (4, 3, "", 3), (3, nil, "rubbish\n", 3),
        ] as [(Int, Int?, String, Int)] {
            let path = folder.file(
                "m\(after)\(lines)\(tail.count).jsonl", Array((whole + tail).utf8))
            do {
                let log = try MetricsLog(path: path, after: after, keeping: count)
                try log.append(entry(after + 1, 7))
            }
            let found = try text(path).split(separator: "\n")
            #expect(found.count == lines + 1)
            #expect(found.last.map(String.init) == entry(after + 1, 7).line)
            #expect(try text(path).hasSuffix("\n"))
        }
    }

    @Test("the lines read back for a report")
    func readsBack() throws {
        let folder = TemporaryFolder()
        let path = folder.path + "/metrics.jsonl"
        let log = try MetricsLog(path: path, after: -1)
        try log.append(entry(1, 2.5))
        let lines = try ReportPage.lines(of: path)
        #expect(lines.map(\.step) == [1] && lines[0].values["loss"] == 2.5)
    }
}
