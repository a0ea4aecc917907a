import TestSupport
import Testing
import YuyanFormats

@testable import YuyanTrain

/// Runs of seconds that learn from rewards of their answers, over a tiny golden model.
final class PolicyRun {
    let folder = TemporaryFolder()
    private let model = Goldens.path("models/gguf/llama-gqa.gguf")
    /// Rows of the data.
    var prompts = (0..<12).map { #"{"prompt": "abc \#($0)", "answer": "e"}"# }

    /// What came of a run, with the lines that it said.
    struct Result {
        var outcome: RunOutcome
        var notes: [String]
    }

    @discardableResult
    func train(
        _ output: String, _ stage: String, _ flags: [String], stopAfter polls: Int? = nil
    ) throws -> Result {
        let data = folder.file(
            "\(output).jsonl", Array((prompts.joined(separator: "\n") + "\n").utf8))
        let source = try RecipeSource(
            arguments: [
                "--model_name_or_path", model, "--output_dir", folder.path + "/" + output,
                "--stage", stage, "--dataset", data, "--lora_rank", "2", "--learning_rate", "1e-2",
                "--per_device_train_batch_size", "2", "--max_steps", "3", "--save_steps", "1",
                "--logging_steps", "1", "--report_samples", "0", "--threads", "2", "--report_to",
                "none", "--reward_funcs", "[{name: regex, pattern: \"[a-m]\", mode: search}]",
                "--num_generations", "4", "--max_completion_length", "8",
            ] + flags)
        var (left, notes) = (polls ?? .max, [String]())
        let run = try TrainingRun(
            source, modelPath: model,
            stopSignal: {
                left -= 1
                return left < 0 ? 2 : nil
            },
            observe: { event in
                if case .note(let line) = event { notes.append(line) }
            })
        let outcome = try run.train().outcome
        return Result(outcome: outcome, notes: notes)
    }

    func log(_ output: String) throws -> [[String: Double]] { try folder.loggedNumbers(output) }

    func refusal(_ stage: String, _ flags: [String]) -> String {
        do {
            try train("refused", stage, flags)
            return ""
        } catch {
            return "\(error)"
        }
    }

    /// Makes rows of which only some can be told apart by their answers, and a program that scores
    /// these by turns, all others the same, and writes down which rows it was asked about.
    ///
    /// - Parameter live: Numbers of the rows whose answers differ.
    /// - Returns: Flags for the run.
    func scripted(_ count: Int, live: (Int) -> Bool) -> [String] {
        prompts = (0..<count).map {
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
