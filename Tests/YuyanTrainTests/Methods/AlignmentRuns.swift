import TestSupport

@testable import YuyanTrain

/// A folder of short runs over a tiny model that learn from judged answers.
struct AlignmentRuns {
    let folder = TemporaryFolder()
    let model = Goldens.path("models/gguf/llama-gqa.gguf")

    static let pairs = (0..<12).map {
        #"{"prompt": "abc \#($0)", "chosen": " de \#($0 * 7 % 10)", "rejected": " fg \#($0 % 3) h"}"#
    }
    static let verdicts = (0..<12).map {
        #"{"prompt": "abc \#($0)", "completion": " de \#($0 * 7 % 10)", "label": \#($0 % 2 == 0)}"#
    }
    static let steps = (0..<12).map {
        #"{"prompt": "abc \#($0)", "completions": ["de", "f \#($0)"], "labels": [true, \#($0 % 2 == 0)]}"#
    }
    static let prompts = (0..<12).map { #"{"prompt": "abc \#($0)", "answer": "e"}"# }

    private static func rows(_ stage: String) -> [String] {
        switch stage {
        case "kto": verdicts
        case "prm": steps
        case "grpo", "rloo", "reinforce++", "ppo": prompts
        default: pairs
        }
    }

    func source(_ output: String, _ stage: String, _ flags: [String]) throws -> RecipeSource {
        let rows = Self.rows(stage).joined(separator: "\n") + "\n"
        let data = folder.file("\(stage).jsonl", Array(rows.utf8))
        let rewards =
            Self.rows(stage) == Self.prompts
            ? [
                "--reward_funcs", "[{name: regex, pattern: \"[a-m]\", mode: search}]",
                "--num_generations", "4", "--max_completion_length", "8",
            ] : []
        return try RecipeSource(
            arguments: [
                "--model_name_or_path", model, "--output_dir", folder.path + "/" + output,
                "--stage", stage, "--dataset", data, "--lora_rank", "2", "--learning_rate", "1e-2",
                "--per_device_train_batch_size", "2", "--max_steps", "3", "--save_steps", "1",
                "--logging_steps", "1", "--report_samples", "0", "--threads", "2", "--report_to",
                "none",
            ] + rewards + flags)
    }

    @discardableResult
    func train(
        _ output: String, _ stage: String, _ flags: [String] = [], stopAfter polls: Int? = nil
    ) throws -> RunOutcome {
        let late = LateSignal(after: polls)
        return try TrainingRun(
            source(output, stage, flags), modelPath: model,
            stopSignal: { late.signal }, observe: { _ in }
        ).train().outcome
    }

    func refusal(_ stage: String, _ flags: [String]) -> String {
        do {
            try train("refused", stage, flags)
            return ""
        } catch {
            return "\(error)"
        }
    }
}
