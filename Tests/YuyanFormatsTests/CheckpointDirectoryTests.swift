import TestSupport
import Testing
import YuyanFormats

private func shard(_ name: String, _ values: [UInt8]) -> [UInt8] {
    SafetensorsImage(
        #"{"\#(name)":{"dtype":"U8","shape":[\#(values.count)],"data_offsets":[0,\#(values.count)]}}"#,
        data: values
    ).bytes
}

@Suite("Checkpoint folders")
struct CheckpointDirectoryTests {
    private let folder = TemporaryFolder()
    private let indexName = "model.safetensors.index.json"

    private func index(_ text: String) { _ = folder.file(indexName, Array(text.utf8)) }

    @Test("with one file give its tensors")
    func single() throws {
        _ = folder.file("model.safetensors", SafetensorsImage.sample.bytes)
        _ = folder.file("config.json", Array(#"{"hidden_size": 64}"#.utf8))
        let checkpoint = try CheckpointDirectory(path: folder.path)
        #expect(checkpoint.tensors.map(\.name) == ["a", "b", "empty"])
        #expect(try checkpoint.json("config.json")?.root.int("hidden_size") == 64)
        #expect(try checkpoint.json("generation_config.json") == nil)
        _ = folder.file("broken.json", Array("{".utf8))
        #expect(throws: FormatError.self) { try checkpoint.json("broken.json") }
    }

    @Test("with shards give the tensors of all of them")
    func shards() throws {
        _ = folder.file("x-1.safetensors", shard("one", [1]))
        _ = folder.file("x-2.safetensors", shard("two", [2, 2]))
        index(#"{"metadata":{},"weight_map":{"two":"x-2.safetensors","one":"x-1.safetensors"}}"#)
        let checkpoint = try CheckpointDirectory(path: folder.path)
        #expect(checkpoint.tensors.map(\.name) == ["one", "two"])
        #expect(try checkpoint.tensor("two").withUnsafeBytes { Array($0) } == [2, 2])
        #expect(
            throws: FormatError.missingTensor(
                name: "tow", file: folder.path, nearest: ["two"])
        ) { try checkpoint.tensor("tow") }
    }

    @Test("without weights, or with an index that is wrong, are refused")
    func refusals() {
        let open = { _ = try CheckpointDirectory(path: folder.path) }
        #expect(
            throws: FormatError.cannotOpen(
                file: folder.path, reason: "it has neither model.safetensors nor its index.json"),
            performing: open)
        _ = folder.file("x.safetensors", shard("one", [1]))
        let place = folder.path + "/" + indexName
        index(#"{"weight_map":{"other":"x.safetensors"}}"#)
        #expect(
            throws: FormatError.missingTensor(
                name: "other", file: folder.path + "/x.safetensors",
                nearest: ["one"]), performing: open)
        for shard in ["../x.safetensors", "/etc/passwd", "..", ".", "", "a/b", "x\\u0000"] {
            index(#"{"weight_map":{"one":"\#(shard)"}}"#)
            #expect {
                try open()
            } throws: { error in
                guard case .badValue(place, "one", _, _)? = error as? FormatError else {
                    return false
                }
                return true
            }
        }
        index(#"{"weight_map":{"one":"missing.safetensors"}}"#)
        #expect(
            throws: FormatError.cannotOpen(
                file: folder.path + "/missing.safetensors", reason: "No such file or directory"),
            performing: open)
        index(#"{"weight_map":{"one":"x.safetensors","one":"x.safetensors"}}"#)
        #expect(throws: FormatError.duplicate(file: place, name: "one"), performing: open)
        index(#"{"weight_map":{"one":1}}"#)
        #expect(
            throws: FormatError.wrongType(
                file: place, key: "one", found: "number", expected: "string"), performing: open)
        index("{}")
        #expect(
            throws: FormatError.missingKey(key: "weight_map", file: place, nearest: []),
            performing: open)
    }
}
