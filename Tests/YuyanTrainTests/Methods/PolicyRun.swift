import TestSupport
import Testing
import YuyanFormats

@testable import YuyanTrain

/// Short runs that learn from rewards, with what they say, on rows and by a program of one's own.
final class PolicyRun {
    private let runs = AlignmentRuns()
    var folder: TemporaryFolder { runs.folder }
    /// Rows of the data; nil for the usual ones.
    private var rows: [String]?

    /// What came of a run, with the lines that it said.
    struct Result {
        var outcome: RunOutcome
        var notes: [String]
    }

    @discardableResult
    func train(
        _ output: String, _ stage: String, _ flags: [String], stopAfter polls: Int? = nil
    ) throws -> Result {
        var data: [String] = []
        if let rows {
            let bytes = Array((rows.joined(separator: "\n") + "\n").utf8)
            data = ["--dataset", folder.file("rows.jsonl", bytes)]
        }
        let late = LateSignal(after: polls)
        var notes: [String] = []
        let run = try TrainingRun(
            runs.source(output, stage, data + flags), modelPath: runs.model,
            stopSignal: { late.signal },
            observe: { event in
                if case .note(let line) = event { notes.append(line) }
            })
        let outcome = try run.train().outcome
        return Result(outcome: outcome, notes: notes)
    }

    func log(_ output: String) throws -> [[String: Double]] { try folder.loggedNumbers(output) }

    func refusal(_ stage: String, _ flags: [String]) -> String { runs.refusal(stage, flags) }

    /// Makes rows of which only some can be told apart by their answers, and a program that scores
    /// these by turns, all others the same, and writes down which rows it was asked about.
    ///
    /// - Parameter live: Numbers of the rows whose answers differ.
    /// - Returns: Flags for the run.
    func scripted(_ count: Int, live: (Int) -> Bool) -> [String] {
        rows = (0..<count).map {
            #"{"prompt": "abc \#($0)", "number": \#($0), "kind": "zz-\#(live($0) ? "live" : "dull")"}"#
        }
        let script = folder.file(
            "reward.sh",
            Array(
                #"""
                #!/bin/sh
                while read -r line; do
                  id=${line#*\"id\":}
                  id=${id# }
                  id=${id%%[!0-9]*}
                  number=${line##*\"number\":}
                  number=${number# }
                  number=${number%%[!0-9]*}
                  echo "$number" >> "$1"
                  case $line in
                  *zz-live*) echo "{\"id\": $id, \"score\": $((id % 2))}" ;;
                  *) echo "{\"id\": $id, \"score\": 1}" ;;
                  esac
                done
                """#.utf8))
        return [
            "--disable_shuffling", "true", "--reward_funcs",
            "[{program: /bin/sh, arguments: [\(script), \(asked)], label: scripted}]",
        ]
    }

    private var asked: String { folder.path + "/asked" }

    /// The rows that the program was asked about, one for each answer.
    func askedRows() throws -> [Int] {
        String(decoding: try folder.bytes("asked"), as: UTF8.self).split(separator: "\n")
            .compactMap { Int($0) }
    }
}
