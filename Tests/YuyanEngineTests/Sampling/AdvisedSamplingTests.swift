import TestSupport
import Testing
import YuyanFormats
import YuyanNN

@testable import YuyanEngine

@Suite("Advised sampling")
struct AdvisedSamplingTests {
    /// A directory that opens as a checkpoint, without a tensor in it.
    private func directory(_ generation: String?) throws -> (TemporaryFolder, Checkpoint) {
        let folder = TemporaryFolder()
        _ = folder.file("config.json", Array("{}".utf8))
        _ = folder.file("model.safetensors", little(UInt64(2)) + Array("{}".utf8))
        if let generation { _ = folder.file("generation_config.json", Array(generation.utf8)) }
        return (folder, try Checkpoint(path: folder.path))
    }

    @Test("is read from generation_config.json; what it leaves open stays plain")
    func huggingFace() throws {
        let (folder, checkpoint) = try directory(
            #"""
            {"do_sample": true, "temperature": 0.7, "top_p": 0.8, "top_k": 20, "min_p": null,
             "repetition_penalty": 1.1, "eos_token_id": [1, 2]}
            """#)
        let found = try SamplingParameters(advisedBy: checkpoint)
        withExtendedLifetime(folder) {}
        var expected = SamplingParameters()
        expected.temperature = 0.7
        expected.topP = 0.8
        expected.topK = 20
        expected.repetitionPenalty = 1.1
        #expect(found == expected)
        #expect(
            found.advice == "temperature 0.7, top_k 20, top_p 0.8, repetition_penalty 1.1")
    }

    @Test("of a directory without the file is plain")
    func absent() throws {
        let (folder, checkpoint) = try directory(nil)
        #expect(try SamplingParameters(advisedBy: checkpoint) == SamplingParameters())
        #expect(SamplingParameters().advice.isEmpty)
        withExtendedLifetime(folder) {}
    }

    @Test("is read from the metadata of GGUF, where -1 keeps all tokens")
    func gguf() throws {
        var image = GGUFImage.sample()
        image.key("general.sampling.temp", .float32, little(Float(0.6).bitPattern))
        image.key("general.sampling.top_k", .int32, little(Int32(-1)))
        image.key("general.sampling.top_p", .float32, little(Float(0.95).bitPattern))
        image.key("general.sampling.penalty_last_n", .int32, little(Int32(64)))
        let folder = TemporaryFolder()
        let checkpoint = try Checkpoint(path: folder.file("model.gguf", image.bytes))
        let found = try SamplingParameters(advisedBy: checkpoint)
        withExtendedLifetime(folder) {}
        var expected = SamplingParameters()
        expected.temperature = 0.6
        expected.topP = 0.95
        expected.penaltyWindow = 64
        #expect(found == expected)
    }

    @Test(
        "that is no number or out of range is refused",
        arguments: [#"{"temperature": "hot"}"#, #"{"top_p": 7}"#, #"{"temperature": -1}"#])
    func refused(_ generation: String) throws {
        let (folder, checkpoint) = try directory(generation)
        #expect(throws: (any Error).self) { try SamplingParameters(advisedBy: checkpoint) }
        withExtendedLifetime(folder) {}
    }
}
