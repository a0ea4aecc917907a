import TestSupport
import Testing
import YuyanFormats
import YuyanTensor

@testable import YuyanNN

@Suite("Parameter groups")
struct ParameterGroupTests {
    @Test("let decay what transformers' trainer lets decay")
    func names() throws {
        let entries = try #require(optimizerCases().root.object("decays").entries)
        #expect(entries.count > 20)
        for (name, value) in entries {
            #expect(decays(name) == value.bool, "\(name)")
        }
    }

    @Test("give B matrices and vectors LoRA+'s rate, and norms no decay")
    func groups() {
        let names = [
            "model.layers.0.self_attn.q_proj.lora_A.weight",
            "model.layers.0.self_attn.q_proj.lora_B.weight", "model.norm.weight",
            "model.layers.0.self_attn.q_proj.bias", "model.layers.1.mlp.up_proj.lora_A.weight",
            "model.embed_tokens.weight",
        ]
        let shapes = [[4, 8], [8, 4], [8], [8], [4, 8], [16, 8]]
        let parameters = zip(names, shapes).map {
            PlainParameter($0, noise(1, $1.reduce(1, *)), shape: $1)
        }
        let groups = parameterGroups(parameters, weightDecay: 0.01, loraPlusRatio: 16)
        let found = groups.map { group in
            (
                group.parameters.map(\.name), group.learningRateFactor, group.weightDecay,
                group.keepsFloatStates
            )
        }
        #expect(found.count == 4)
        #expect(found[0] == ([names[0], names[4]], 1, 0.01, false))
        #expect(found[1] == ([names[1]], 16, 0.01, false))
        #expect(found[2] == ([names[2], names[3]], 16, 0, false))
        #expect(found[3] == ([names[5]], 1, 0.01, true))
        let plain = parameterGroups(parameters, weightDecay: 0.01, embeddingFactor: nil)
        #expect(plain.allSatisfy { $0.learningRateFactor == 1 })
        #expect(plain.map(\.weightDecay) == [0.01, 0, 0.01])
    }

    @Test("give B of an embedding the rate that LoRA+ has for it, and A the usual one")
    func embeddings() {
        let names = [
            "base_model.model.model.embed_tokens.lora_embedding_A",
            "base_model.model.model.embed_tokens.lora_embedding_B",
            "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight",
        ]
        let parameters = names.map { PlainParameter($0, noise(1, 32), shape: [8, 4]) }
        let groups = parameterGroups(
            parameters, weightDecay: 0, loraPlusRatio: 16, embeddingFactor: 0.02)
        #expect(groups.map { $0.parameters.map(\.name) } == names.map { [$0] })
        #expect(groups.map(\.learningRateFactor) == [1, 0.02, 16])
        let plain = parameterGroups(parameters, weightDecay: 0)
        #expect(plain.count == 1 && plain[0].learningRateFactor == 1)
    }
}
