import Testing
import YuyanNN

@Suite("Checkpoint errors")
struct CheckpointErrorTests {
    @Test("say where, what was found and what was expected")
    func texts() {
        #expect(
            CheckpointError.notACheckpoint(path: "x").description
                == "x: neither a GGUF file nor a directory with config.json; "
                + "give a .gguf file, a Hugging Face directory, or a cached model's name")
        #expect(
            CheckpointError.unsupportedArchitecture(
                file: "f", found: "gpt2", supported: ["llama", "qwen2"]
            ).description == "f: architecture 'gpt2' is not supported; supported: llama, qwen2")
        #expect(
            CheckpointError.configuration(file: "f", key: "k", found: "0", expected: "1 to 9")
                .description == "f: 'k' is 0, expected 1 to 9")
        #expect(
            CheckpointError.shape(name: "w", file: "f", expected: [2, 3], found: [3, 2])
                .description
                == "f: 'w' is [3, 2], expected [2, 3]; does the configuration match?")
        #expect(
            CheckpointError.elementType(name: "w", file: "f", expected: "f32", found: "i8")
                .description == "f: 'w' is stored as i8, expected f32")
    }
}
