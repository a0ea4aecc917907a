import TestSupport
import Testing
import YuyanFormats

@testable import YuyanTrain

/// A key with two values, for a stage that reads it.
struct KeyEffect: Sendable, CustomTestStringConvertible {
    let stage: String
    let key: String
    let values: [String]
    /// What else the key needs to have an effect.
    var flags: [String] = []

    init(_ stage: String, _ key: String, _ one: String, _ other: String, _ flags: [String] = []) {
        (self.stage, self.key, self.values, self.flags) = (stage, key, [one, other], flags)
    }

    var testDescription: String {
        "\(stage): \(key) \(values.joined(separator: " or ")) \(flags.joined(separator: " "))"
    }
}

extension AlignmentRunTests {
    static let effects: [KeyEffect] = {
        let smoothing = ["--dpo_label_smoothing", "0.2"]
        let simPO = ["--pref_loss", "simpo"]
        let reused = ["--ppo_epochs", "3"]
        return [
            KeyEffect("dpo", "pref_loss", "sigmoid", "robust", smoothing),
            KeyEffect("dpo", "pref_loss", "sigmoid", "hinge"),
            KeyEffect("dpo", "pref_loss", "sigmoid", "ipo"),
            KeyEffect("dpo", "pref_loss", "sigmoid", "orpo"),
            KeyEffect("dpo", "pref_loss", "sigmoid", "simpo"),
            KeyEffect("dpo", "pref_loss", "sigmoid", "cpo"),
            KeyEffect("cpo", "pref_loss", "sigmoid", "hinge"),
            KeyEffect("cpo", "pref_loss", "sigmoid", "ipo"),
            KeyEffect("cpo", "pref_loss", "sigmoid", "simpo"),
            KeyEffect("dpo", "dpo_label_smoothing", "0", "0.2"),
            KeyEffect("dpo", "dpo_label_smoothing", "0", "0.2", ["--pref_loss", "robust"]),
            KeyEffect("simpo", "dpo_label_smoothing", "0", "0.2"),
            KeyEffect("cpo", "dpo_label_smoothing", "0", "0.2"),
            KeyEffect("cpo", "dpo_label_smoothing", "0", "0.2", simPO),
            KeyEffect("simpo", "simpo_gamma", "0.5", "1"),
            KeyEffect("cpo", "simpo_gamma", "0.5", "1", simPO),
            KeyEffect("cpo", "cpo_alpha", "1", "0.5"),
            KeyEffect("dpo", "pref_ftx", "0", "0.5"),
            KeyEffect("kto", "kto_chosen_weight", "1", "2"),
            KeyEffect("kto", "kto_rejected_weight", "1", "2"),
            KeyEffect("rm", "center_rewards_coefficient", "0", "0.5"),
            KeyEffect("grpo", "mask_truncated_completions", "false", "true"),
            KeyEffect("ppo", "lam", "0.95", "0.5"),
            KeyEffect("ppo", "cliprange_value", "0.2", "1e-5", reused),
            KeyEffect("ppo", "vf_coef", "0.1", "1"),
            KeyEffect("ppo", "missing_eos_penalty", "0", "1"),
        ]
    }()

    @Test(
        "read each key of their method: with another value three steps are others",
        arguments: effects)
    func reads(_ effect: KeyEffect) throws {
        for value in effect.values {
            try train(value, effect.stage, ["--\(effect.key)", value] + effect.flags)
        }
        let logs = try effect.values.map { try log($0) }
        let weights = try effect.values.map { try folder.bytes("\($0)/adapter_model.safetensors") }
        #expect(logs[0] != logs[1] || weights[0] != weights[1])
        #expect(logs.allSatisfy { $0.count == 3 })
    }

    @Test("KTO logs the difference of good and bad answers' rewards")
    func verdictMargins() throws {
        try train("kto", "kto", ["--per_device_train_batch_size", "4", "--val_size", "4"])
        var compared = 0
        for line in try log("kto") {
            for prefix in ["", "eval_"] {
                guard let chosen = line[prefix + "rewards/chosen"],
                    let rejected = line[prefix + "rewards/rejected"]
                else { continue }
                let margin = try #require(line[prefix + "rewards/margins"])
                #expect(abs(margin - (chosen - rejected)) < 1e-9)
                compared += 1
            }
        }
        #expect(compared > 1)
    }

    @Test("PPO logs what TRL's PPOTrainer does, and its ratios are 1 where answers are new")
    func trainerMetrics() throws {
        try train("ppo", "ppo", ["--ppo_epochs", "2", "--max_steps", "4"])
        let log = try log("ppo")
        // Two prompts a step with four answers each.
        #expect(log.map { $0["episode"] } == [8, 8, 16, 16])
        for (index, line) in log.enumerated() {
            let isNew = index.isMultiple(of: 2)
            #expect(line["lr"] == line["learning_rate"])
            let (ratio, variance) = (try #require(line["val/ratio"]), line["val/ratio_var"])
            let change = line["policy/approxkl_avg"]
            #expect((ratio == 1 && variance == 0 && change == 0) == isNew, "\(line)")
            #expect((line["objective/entropy"] != nil) == isNew)
            // The entropy is that of the pass, where one has it.
            #expect(line["policy/entropy_avg"] == line["entropy"])
            #expect(line["policy/entropy_avg"] != nil || !isNew)
        }
        let first = try #require(
            String(decoding: folder.bytes("ppo/metrics.jsonl"), as: UTF8.self)
                .split(separator: "\n").first)
        let rate = try JSONDocument(bytes: Array(first.utf8), name: "metrics").root.double("eps")
        #expect(rate > 0)
    }
}
