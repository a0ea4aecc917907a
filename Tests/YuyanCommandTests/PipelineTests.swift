import TestSupport
import Testing
import YuyanFormats

@Suite("yuyan pipeline", .enabled(if: Binary.path != nil, "no release binary"))
struct PipelineTests {
    private let folder = TemporaryFolder()

    /// Two stages, the second on the adapter of the first.
    private func file() -> String {
        let rows = (0..<24).map { row in
            "{\"prompt\": \"abc \(row)\", \"completion\": \" de \(row * 7 % 10)\"}\n"
        }
        let data = folder.file("data.jsonl", Array(rows.joined().utf8))
        let text = """
            output_dir: \(folder.path)/out
            defaults:
              model_name_or_path: \(Goldens.path("models/gguf/llama-gqa.gguf"))
              dataset: \(data)
              lora_rank: 2
              learning_rate: 1e-2
              per_device_train_batch_size: 2
              max_steps: 20
              save_steps: 1
              save_total_limit: 2
              logging_steps: 1
              report_samples: 0
              threads: 2
            stages:
              - name: one
              - name: two
                adapter_name_or_path: ${one}

            """
        return folder.file("p.yaml", Array(text.utf8))
    }

    private func run(
        _ output: String, _ more: [String] = [], signal: (number: Int32, after: Duration)? = nil
    ) throws -> Binary.Result {
        try Binary.run(
            ["pipeline", file(), "--output_dir", folder.path + "/" + output] + more, signal: signal)
    }

    private func bytes(_ name: String) throws -> [UInt8] {
        let file = try MappedFile(path: folder.path + "/" + name)
        return file.withUnsafeBytes(in: 0..<file.count) { Array($0) }
    }

    @Test("the result is one object on request, a table otherwise, and progress names the stage")
    func contract() throws {
        let result = try run("out", ["--json"])
        try #require(result.status == 0, "\(result)")
        let json = try result.json()
        #expect(json.entries?.map(\.key) == ["outcome", "output_dir", "start", "stages"])
        let stages = Array(try json.array("stages"))
        #expect(try stages.map { try $0.string("status") } == ["finished", "finished"])
        #expect(
            stages[0].entries?.map(\.key) == [
                "name", "stage", "output_dir", "status", "steps", "seconds", "figures",
                "evaluation",
            ])
        let again = try run("out", ["--two.max_steps", "30"])
        try #require(again.status == 0, "\(again)")
        #expect(again.errors.contains("[1/2 one] is finished: "), "\(again)")
        #expect(again.errors.contains("[2/2 two] going on after step 20"), "\(again)")
        #expect(again.errors.contains("[2/2 two] 30/30 steps"), "\(again)")
        #expect(again.output.contains("1 one") && again.output.contains("report: "), "\(again)")
    }

    @Test("a dry run says what would be done and writes nothing")
    func dryRun() throws {
        let result = try run("dry", ["--dry-run", "--json"])
        try #require(result.status == 0, "\(result)")
        let json = try result.json()
        let stages = Array(try json.array("stages"))
        #expect(try stages.map { try $0.string("prospect") } == ["begins", "follows one"])
        #expect(try json.object("first").string("name") == "one")
        #expect(try json.object("first").int("steps") == 20)
        #expect(!folder.names.contains("dry"))
        let text = try run("dry", ["--dry-run"])
        #expect(text.output.contains("follows one") && text.output.contains("[1/2 one] time: "))
    }

    @Test("Ctrl-C saves, says how to go on, and exits 130; the same command goes on")
    func survivesSignals() throws {
        let long = ["--defaults.max_steps", "20000", "--defaults.save_steps", "20000"]
        let result = try run("stopped", long, signal: (2, .milliseconds(1500)))
        try #require(result.status == 130, "\(result)")
        #expect(result.errors.contains("the same command goes on from here"))
        #expect(result.output.isEmpty)
        let again = try run("stopped", long, signal: (9, .milliseconds(1500)))
        #expect(again.errors.contains("[1/2 one] going on after step"), "\(again)")
    }

    @Test("killed with SIGKILL at random moments, it ends in the bytes of one that was not")
    func survivesSIGKILL() throws {
        let whole = try run("whole")
        try #require(whole.status == 0, "\(whole)")
        var random = SeededGenerator(seed: 5)
        // Kills before the first checkpoint only begin anew; later ones go on.
        var lateKills = 0
        for kill in 0..<200 {
            // Longer and longer, so that a slow machine gets anywhere too.
            let delay = Duration.milliseconds(Int.random(in: 5...250 + 5 * kill, using: &random))
            let result = try run("killed", signal: (9, delay))
            if result.status == 0 { break }
            try #require(result.status == -9, "\(result)")
            let names = itemNames(in: folder.path + "/killed/01-one")
            if names.contains(where: { $0.hasPrefix("checkpoint-") }) { lateKills += 1 }
        }
        let last = try run("killed")
        try #require(last.status == 0, "\(last)")
        #expect(lateKills > 0)
        for stage in ["01-one", "02-two"] {
            let name = "/\(stage)/adapter_model.safetensors"
            #expect(try bytes("whole" + name) == bytes("killed" + name), "\(stage)")
        }
    }

    @Test("what a user gets wrong is one line and a usage error")
    func mistakes() throws {
        for (more, reason) in [
            (["--three.seed", "1"], "no stage is called 'three'"),
            (["--one.lerning_rate", "1"], "learning_rate"), (["--seed", "1"], "--defaults.seed"),
            (["--from", "one", "--only", "two"], "exclude each other"),
        ] {
            let result = try run("wrong", more)
            #expect(result.status == 64 && result.errors.contains(reason), "\(result)")
            #expect(result.errors.contains("Usage: yuyan pipeline"), "\(result)")
        }
        #expect(try Binary.run(["pipeline"]).status == 64)
        let other = try run("wrong", ["--from", "three"])
        #expect(
            other.status == 1 && other.errors.contains("no stage is called 'three'"), "\(other)")
        let missing = try run("wrong", ["--two.dataset", "/nowhere.jsonl"])
        #expect(missing.status == 1 && missing.errors.contains("stage 'two': "), "\(missing)")
        #expect(!folder.names.contains("wrong"))
    }
}
