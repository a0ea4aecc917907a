import TestSupport
import Testing
import YuyanFormats

@testable import YuyanTrain

@Suite("Runs that learn from rewards")
struct PolicyRunTests {
    private let run = PolicyRun()
    /// A reward that every answer earns.
    private static let equal = ["--reward_funcs", "[{name: regex, pattern: \".*\", mode: search}]"]

    @Test(
        "have the entropy's bonus in gradient and loss of every step",
        arguments: [[], ["--loss_type", "grpo"], ["--importance_sampling_level", "sequence"]])
    func entropy(_ flags: [String]) throws {
        try run.train(
            "run", "grpo",
            Self.equal + ["--entropy_coef", "0.5", "--num_iterations", "2", "--max_steps", "4"]
                + flags)
        let log = try run.log("run")
        #expect(log.count == 4)
        for step in log {
            #expect(try #require(step["grad_norm"]) > 0)
            let (loss, entropy) = (try #require(step["loss"]), try #require(step["entropy"]))
            #expect(entropy > 0 && abs(loss + 0.5 * entropy) < 1e-9, "\(step)")
        }
    }

    @Test(
        "lower rewards by the divergence where the method's paper does, and raise the loss elsewhere",
        arguments: [
            ("rloo", [], true), ("rloo", ["--kl_in_reward", "false"], false),
            ("rloo", ["--kl_estimator", "exact"], false),
            ("reinforce++", [], true), ("grpo", [], false),
            ("grpo", ["--kl_in_reward", "true"], true),
        ])
    func divergence(_ stage: String, _ flags: [String], _ isInReward: Bool) throws {
        let beta = 0.5
        try run.train(
            "run", stage,
            [
                "--beta", "\(beta)", "--num_iterations", "2", "--max_steps", "3",
                "--max_completion_length", "2",
            ] + flags)
        // Its answers are those of the third step, which the weights of the second wrote.
        let root = try JSONDocument(
            path: run.folder.path + "/run/checkpoint-3/policy_state.json"
        ).root
        let groups = try root.array("micro_batches").flatMap { batch in
            try (batch.array.map(Array.init) ?? []).map {
                try JudgedGroup($0, masksTruncated: false)
            }
        }
        #expect(groups.count == 2)
        var farthest = 0.0
        for group in groups {
            for (index, answer) in group.rollout.answers.enumerated() {
                var sum = 0.0
                if let reference = group.reference {
                    for (own, other) in zip(answer.logProbabilities, reference[index]) {
                        sum += Double(own) - Double(other)
                    }
                }
                farthest = max(farthest, abs(sum))
                let earned = group.totals[index] + (isInReward ? beta * sum : 0)
                // The pattern is found, or it is not.
                #expect(min(abs(earned), abs(earned - 1)) < 1e-9, "\(earned)")
            }
        }
        if !flags.contains("exact") { #expect(farthest > 1e-4) }
        guard stage != "grpo" else { return }
        let all = Moments(groups.flatMap(\.totals))
        for group in groups {
            for (index, total) in group.totals.enumerated() {
                let others = group.totals.reduce(0, +) - total
                let expected =
                    stage == "rloo"
                    ? total - others / Double(group.totals.count - 1)
                    : (total - all.mean) / (all.deviation + 1e-4)
                #expect(
                    group.advantages[index].allSatisfy { abs($0 - expected) < 1e-9 },
                    "\(group.totals)")
            }
        }
    }

    @Test("of REINFORCE++ need one answer a prompt only, if a step has two in all")
    func single() throws {
        let one = [
            "--num_generations", "1", "--max_completion_length", "1",
            "--per_device_train_batch_size",
        ]
        #expect(
            try run.train("six", "reinforce++", one + ["6"]).outcome == .finished(step: 3))
        let log = try run.log("six")
        #expect(log.contains { ($0["grad_norm"] ?? 0) > 0 && $0["frac_reward_zero_std"] == 0 })
        let lonely = run.refusal("reinforce++", one + ["1"])
        #expect(lonely.contains("num_generations") && lonely.contains("more prompts a step"))
        let two = one + ["1", "--gradient_accumulation_steps", "2"]
        #expect(try run.train("two", "reinforce++", two).outcome == .finished(step: 3))
        #expect(run.refusal("rloo", one + ["6"]).contains("others of its group"))
    }

    @Test("say at the first step that teaches nothing why it does not, and say it once")
    func idle() throws {
        func said(_ name: String, _ flags: [String]) throws -> [String] {
            let notes = try run.train(name, "grpo", flags).notes
            return notes.filter { $0.contains("nothing is learnt") }
        }
        // One token is rarely the end.
        let cut = try said(
            "cut", ["--mask_truncated_completions", "true", "--max_completion_length", "1"])
        let first = try #require(try run.log("cut").firstIndex { $0["grad_norm"] == 0 })
        #expect(cut.count == 1 && cut[0].hasPrefix("step \(first + 1): "), "\(cut)")
        #expect(cut[0].contains("8 cut, which mask_truncated_completions leaves out"))

        let equal = try said("equal", Self.equal)
        #expect(try run.log("equal").allSatisfy { $0["grad_norm"] == 0 })
        #expect(equal.count == 1 && equal[0].hasPrefix("step 1: "), "\(equal)")
        #expect(equal[0].contains("none of 8 answers earned more"))
        #expect(try said("entropy", Self.equal + ["--entropy_coef", "0.1"]).isEmpty)
    }

    @Test("of PPO steer the penalty over kl_horizon answers")
    func horizon() throws {
        let flags = ["--ppo_epochs", "1", "--ppo_target", "6", "--max_steps", "2"]
        try run.train("usual", "ppo", flags)
        try run.train("fast", "ppo", flags + ["--kl_horizon", "100"])
        // At first there is no divergence: the error is at its lower bound, over eight answers.
        for (name, horizon) in [("usual", 10_000.0), ("fast", 100)] {
            let found = try run.log(name).compactMap { $0["objective/kl_coef"] }
            let expected = [0.05, 0.05 * (1 - 0.2 * 8 / horizon)]
            expectClose(found, expected, Tolerance(relative: 1e-12), name)
        }
        #expect(
            run.refusal("ppo", flags + ["--kl_horizon", "0"]).contains("'kl_horizon'"))
    }

    @Test("refuse huge rewards by name")
    func huge() throws {
        let script = run.folder.file(
            "huge.sh",
            Array(
                #"""
                #!/bin/sh
                while read -r line; do
                  id=${line#*\"id\":}
                  id=${id# }
                  id=${id%%[!0-9]*}
                  case $id in
                  *[13579]) echo "{\"id\": $id, \"score\": 1e300}" ;;
                  *) echo "{\"id\": $id, \"score\": -1e300}" ;;
                  esac
                done
                """#.utf8))
        let refusal = run.refusal(
            "grpo",
            ["--reward_funcs", "[{program: /bin/sh, arguments: [\(script)], label: huge}]"])
        #expect(refusal.contains("'huge'") && refusal.contains("1e+300"), "\(refusal)")
    }

    @Test("a prompt that leaves no room for the answer names both settings and the sum")
    func room() {
        func reason(_ count: Int, _ change: (inout Recipe) -> Void = { _ in }) -> String {
            var recipe = Recipe()
            change(&recipe)
            let sample = TrainingSample(
                tokens: [Int32](repeating: 3, count: count),
                weights: [Float](repeating: 0, count: count),
                source: SampleSource(file: "rows.jsonl", row: 7))
            do {
                try AnswerRoom(recipe, contextLength: 128).check(sample)
                return ""
            } catch {
                return "\(error)"
            }
        }
        let hopeless = reason(6)
        for part in [
            "rows.jsonl:7", "max_completion_length: 256", "262", "context of 128", "cutoff_len",
        ] {
            #expect(hopeless.contains(part), "\(hopeless)")
        }
        let long = reason(30) { $0.alignment.completionLength = 100 }
        #expect(long.contains("130") && long.contains("cutoff_len: 28 and on_overlong: skip"))
        #expect(reason(28) { $0.alignment.completionLength = 100 }.isEmpty)
    }
}
