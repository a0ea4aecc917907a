import TestSupport
import Testing
import YuyanFormats

@testable import YuyanTrain

@Suite("pipeline.json")
struct PipelineRecordTests {
    @Test("what was written is read again")
    func roundTrip() throws {
        let folder = TemporaryFolder()
        var record = PipelineRecord()
        #expect(try PipelineRecord(in: RunFolder(folder.path)).entries.isEmpty)
        record.request = "from b"
        record.redo = ["b"]
        record.start = PipelineRecord.Evaluation(
            fingerprint: "f", figures: [("reward", 0.1), ("completions/mean_length", 3)])
        var entry = PipelineRecord.Entry(
            name: "a", recipe: Recipe().json, folder: "o/01-a", inputs: [("z", "12")], data: "d")
        var other = entry
        other.name = "b"
        record["b"] = other
        (entry.result, entry.isFinished, entry.steps) = ("r", true, 7)
        (entry.outcome, entry.seconds) = ("stopped_early", 1.5)
        entry.figures = [PipelineResult.Figure(name: "loss", first: 2, last: 0.1)]
        entry.evaluation = PipelineRecord.Evaluation(fingerprint: "g", figures: [("reward", 1)])
        record["a"] = entry
        try record.write(to: RunFolder(folder.path))

        let read = try PipelineRecord(in: RunFolder(folder.path))
        #expect(read.request == "from b" && read.redo == ["b"])
        #expect(read.start?.figures.map(\.value) == [0.1, 3])
        let found = try #require(read["a"])
        #expect(found.folder == "o/01-a" && found.data == "d" && found.result == "r")
        #expect(found.isFinished && found.steps == 7 && found.seconds == 1.5)
        #expect(found.outcome == "stopped_early" && found.figures == entry.figures)
        #expect(found.inputs.map(\.name) == ["z"] && found.inputs[0].fingerprint == "12")
        #expect(found.evaluation?.fingerprint == "g")
        #expect(found.recipe.description == entry.recipe.description)
        let open = try #require(read["b"])
        #expect(!open.isFinished && open.result == nil && open.evaluation == nil)
        #expect(read["c"] == nil && read.entries.count == 2)
    }

    @Test("a recipe is equal to its record, and differs by the keys that were changed")
    func recipes() throws {
        let source = try RecipeSource(arguments: [
            "--model_name_or_path", "m", "--dataset", "[a.jsonl, \"b c.jsonl\"]", "--output_dir",
            "o", "--stage", "grpo", "--learning_rate", "1e-5", "--rank_pattern", "{q_proj: 4}",
            "--reward_funcs", "[arithmetic, {name: length, target: 64}]", "--reward_weights",
            "[1, 0.5]", "--lr_scheduler_kwargs", "{num_cycles: 0.5}", "--val_size", "3",
            "--run_name", "7",
        ])
        var recipe = source.recipe
        func recorded() throws -> JSONOutput {
            JSONOutput(
                copying: try JSONDocument(
                    bytes: Array(source.recipe.json.indented.utf8), name: "record"
                ).root)
        }
        #expect(try recipe.differences(fromRecorded: recorded()).isEmpty)
        recipe.optimisation.learningRate = 2e-5
        recipe.run.outputFolder = "elsewhere"
        recipe.model.threads = 3
        recipe.run.runName = "8"
        let differences = try recipe.differences(fromRecorded: recorded())
        #expect(
            differences.map(\.description) == [
                "learning_rate (1e-05 → 2e-05)", "run_name (\"7\" → \"8\")",
            ])
        // A record of a version that did not have a key yet.
        var old = try recorded()
        old["seed"] = nil
        #expect(source.recipe.differences(fromRecorded: old).isEmpty)
        recipe = source.recipe
        recipe.run.seed = 1
        #expect(recipe.differences(fromRecorded: old).map(\.key.name) == ["seed"])
    }

    @Test("a result is known by names and bytes, whatever was logged beside it")
    func results() throws {
        let folder = TemporaryFolder()
        #expect(try StageFiles.result(in: folder.path + "/nowhere") == nil)
        _ = folder.file("metrics.jsonl", [1])
        #expect(try StageFiles.result(in: folder.path) == nil)
        _ = folder.file("adapter_model.safetensors", [1, 2])
        let first = try #require(try StageFiles.result(in: folder.path))
        _ = folder.file("metrics.jsonl", [2])
        _ = folder.file(".yuyan-lock", [])
        try createFolder(folder.path + "/checkpoint-1")
        #expect(try StageFiles.result(in: folder.path) == first)
        _ = folder.file("adapter_model.safetensors", [1, 3])
        let second = try StageFiles.result(in: folder.path)
        #expect(second != first)
        _ = folder.file("adapter_config.json", [])
        #expect(try StageFiles.result(in: folder.path) != second)
    }

    @Test(
        "links lead from the page to the stage",
        arguments: [
            ("out/r1/01-a/report.html", "out/r1", "01-a/report.html"),
            ("/out/a b#1/report.html", "/out", "a%20b%231/report.html"),
            ("other/a/report.html", "out/r1", "../../other/a/report.html"),
            ("/x/雨/report.html", "out", "/x/%E9%9B%A8/report.html"),
        ])
    func links(_ path: String, _ folder: String, _ link: String) {
        #expect(PipelinePage.link(to: path, from: folder) == link)
    }
}
