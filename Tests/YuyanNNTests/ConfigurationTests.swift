import TestSupport
import Testing
import YuyanFormats
import YuyanNN

/// A valid `config.json` whose keys can be replaced by any JSON text, or removed.
struct ConfigurationText {
    private var keys = [
        "model_type": #""llama""#, "hidden_size": "32", "intermediate_size": "40",
        "num_hidden_layers": "2", "num_attention_heads": "4", "num_key_value_heads": "2",
        "vocab_size": "96", "max_position_embeddings": "128", "rms_norm_eps": "1e-5",
        "rope_theta": "10000", "hidden_act": #""silu""#,
    ]

    init(_ changes: [String: String?] = [:]) {
        for (key, value) in changes { keys[key] = value }
    }

    var document: JSONDocument {
        get throws {
            let body = keys.sorted { $0.key < $1.key }.map { "\"\($0.key)\": \($0.value)" }
            return try JSONDocument(
                bytes: Array("{\(body.joined(separator: ", "))}".utf8), name: "config.json")
        }
    }

    func shape() throws -> ModelShape {
        try ModelShape(configuration: document, family: "llama")
    }
}

@Suite("Shape of a model from config.json")
struct ConfigurationTests {
    @Test("has the sizes of the file, and the published defaults for absent keys")
    func sizes() throws {
        let shape = try ConfigurationText().shape()
        #expect(shape.width == 32 && shape.hiddenWidth == 40 && shape.layerCount == 2)
        #expect(shape.heads == 4 && shape.keyValueHeads == 2 && shape.group == 2)
        #expect(shape.headDimension == 8 && shape.rotaryDimension == 8)
        #expect(shape.vocabularySize == 96 && shape.maximumPositions == 128)
        #expect(shape.normEpsilon == 1e-5 && shape.ropeTheta == 10000)
        #expect(shape.rotaryScaling == .none && shape.windows == [nil, nil])
        let sparse = try ConfigurationText([
            "num_key_value_heads": nil, "rms_norm_eps": nil, "rope_theta": nil,
            "hidden_act": nil, "max_position_embeddings": nil,
        ]).shape()
        #expect(sparse.keyValueHeads == 4 && sparse.normEpsilon == 1e-6)
        #expect(sparse.ropeTheta == 10000 && sparse.maximumPositions == 2048)
        let partial = try ConfigurationText(["partial_rotary_factor": "0.5"]).shape()
        #expect(partial.rotaryDimension == 4)
    }

    @Test("refuses values that no model has, naming the key")
    func refusals() throws {
        let huge = ["0", "-1", "16777217", "9223372036854775807", "-9223372036854775808"]
        let sizes = [
            "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
            "vocab_size", "max_position_embeddings", "head_dim", "num_key_value_heads",
        ]
        for key in sizes {
            for value in huge {
                expectRefusal([key: value], "\(key) \(value)")
            }
            for value in ["1.5", "\"8\"", "[8]", "{}", "true", "1e30", "9223372036854775808"] {
                expectRefusal([key: value], "\(key) \(value)")
            }
        }
        for changes in [
            ["num_key_value_heads": "3"], ["num_key_value_heads": "8"],
            ["head_dim": "7"], ["head_dim": "1"], ["head_dim": "2048"],
            ["num_attention_heads": "64"], ["num_attention_heads": "16385"],
            ["num_hidden_layers": "1000000000"], ["num_hidden_layers": "4097"],
            ["hidden_act": #""gelu""#], ["hidden_act": "7"],
            ["rms_norm_eps": "-1e-5"], ["rms_norm_eps": "1"], ["rms_norm_eps": "1e400"],
            ["rope_theta": "0"], ["rope_theta": "-5"], ["rope_theta": "1"],
            ["rope_theta": "1e400"], ["rope_theta": #""10000""#],
            ["partial_rotary_factor": "0"], ["partial_rotary_factor": "1.5"],
            ["partial_rotary_factor": "0.4"], ["partial_rotary_factor": "-1"],
        ] {
            expectRefusal(changes, "\(changes)")
        }
        for key in ["hidden_size", "num_hidden_layers", "vocab_size", "intermediate_size"] {
            #expect {
                try ConfigurationText([key: nil]).shape()
            } throws: { error in
                guard case FormatError.missingKey(key, "config.json", _) = error else {
                    return false
                }
                return true
            }
        }
    }

    @Test("refuses rotary scaling that would give no numbers")
    func rotaryRefusals() {
        let texts = [
            #"{"rope_type": "linear"}"#, #"{"type": "linear", "factor": 0}"#,
            #"{"type": "linear", "factor": -2}"#, #"{"type": "linear", "factor": 0.5}"#,
            #"{"type": "linear", "factor": "4"}"#, #"{"type": "linear", "factor": 1e400}"#,
            #"{"type": "linear", "factor": NaN}"#, #"{"rope_type": "dynamic", "factor": 0}"#,
            #"{"rope_type": "longrope", "factor": 4}"#, #"{"rope_type": "", "factor": 4}"#,
            #"{"rope_type": 7}"#, "8", "[]", #""linear""#,
            #"{"rope_type": "yarn"}"#, #"{"rope_type": "yarn", "factor": 0}"#,
            #"{"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 0}"#,
            #"{"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": -7}"#,
            #"{"rope_type": "yarn", "factor": 4, "beta_fast": 0}"#,
            #"{"rope_type": "yarn", "factor": 4, "beta_slow": -1}"#,
            #"{"rope_type": "yarn", "factor": 4, "attention_factor": 0}"#,
            #"{"rope_type": "yarn", "factor": 4, "attention_factor": -1}"#,
            #"{"rope_type": "yarn", "factor": 4, "mscale": -1, "mscale_all_dim": 1}"#,
            #"{"rope_type": "llama3", "factor": 8}"#,
            #"{"rope_type": "llama3", "factor": 8, "low_freq_factor": 1}"#,
            #"{"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4}"#,
            #"{"rope_type": "llama3", "factor": 8, "low_freq_factor": 0, "high_freq_factor": 4}"#,
            #"{"rope_type": "llama3", "factor": 8, "low_freq_factor": 5, "high_freq_factor": 4}"#,
        ]
        for text in texts {
            for key in ["rope_scaling", "rope_parameters"] {
                expectRefusal([key: text], "\(key): \(text)")
            }
        }
    }

    @Test("reads every scaling, of either version's spelling, with its defaults")
    func scalings() throws {
        func scaling(_ text: String, _ key: String = "rope_scaling") throws -> RotaryScaling {
            try ConfigurationText([key: text]).shape().rotaryScaling
        }
        #expect(try scaling("null") == .none)
        #expect(try scaling("{}") == .none)
        #expect(try scaling(#"{"rope_type": "default"}"#, "rope_parameters") == .none)
        #expect(try scaling(#"{"type": "linear", "factor": 4}"#) == .linear(factor: 4))
        #expect(
            try scaling(#"{"type": "dynamic", "factor": 2}"#)
                == .dynamicNTK(factor: 2, trainedLength: 128))
        #expect(
            try scaling(#"{"rope_type": "yarn", "factor": 4}"#)
                == .yarn(YaRN(factor: 4, trainedLength: 128)))
        var yarn = YaRN(factor: 4, trainedLength: 32)
        yarn.truncate = false
        yarn.mscale = 0.5
        #expect(
            try scaling(
                #"{"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 32, "#
                    + #""truncate": false, "mscale": 0.5}"#, "rope_parameters") == .yarn(yarn))
        #expect(
            try scaling(
                #"{"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "#
                    + #""high_freq_factor": 4, "original_max_position_embeddings": 64}"#)
                == .llama3(
                    factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, trainedLength: 64))
        let both = try ConfigurationText([
            "rope_parameters": #"{"rope_type": "default", "rope_theta": 77}"#
        ]).shape()
        #expect(both.ropeTheta == 77)
    }

    @Test("stretches the context as far as the scaling is meant for")
    func contextLength() throws {
        for (text, expected) in [
            ("null", 128), (#"{"type": "linear", "factor": 4}"#, 512),
            (#"{"type": "dynamic", "factor": 2.5}"#, 320),
            (#"{"type": "dynamic", "factor": 1e300}"#, 1 << 24),
            (#"{"type": "yarn", "factor": 4}"#, 512),
            (#"{"type": "yarn", "factor": 4, "original_max_position_embeddings": 32}"#, 128),
            (
                #"{"type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4}"#,
                128
            ),
        ] {
            #expect(
                try ConfigurationText(["rope_scaling": text]).shape().contextLength == expected,
                "\(text)")
        }
    }

    @Test("takes windows from layer_types, or else from the rule")
    func windows() throws {
        func windows(_ types: String?, size: Int? = 8) throws -> [Int?] {
            try ModelShape.windows(
                ConfigurationText(["layer_types": types]).document.root, layerCount: 2,
                file: "config.json", size: size, rule: { $0 == 0 })
        }
        #expect(try windows(nil) == [8, nil])
        #expect(try windows("null") == [8, nil])
        #expect(try windows(#"["full_attention", "sliding_attention"]"#) == [nil, 8])
        #expect(try windows(#"["full_attention", "sliding_attention"]"#, size: nil) == [nil, nil])
        for types in [
            #"["full_attention"]"#, "[]", "7", #""full_attention""#,
            #"["full_attention", "linear_attention"]"#, #"["full_attention", 3]"#,
            #"["full_attention", "full_attention", "full_attention"]"#,
        ] {
            #expect(throws: CheckpointError.self, "\(types)") { try windows(types) }
        }
        #expect(throws: CheckpointError.self) { try windows(nil, size: 0) }
        #expect(throws: CheckpointError.self) { try windows(nil, size: -4) }
    }

    @Test("answers any damage to a configuration with a shape or a typed error")
    func fuzz() throws {
        let text =
            #"{"hidden_size":32,"intermediate_size":40,"num_hidden_layers":2,"num_attention_heads":4,"#
            + #""num_key_value_heads":2,"head_dim":8,"vocab_size":96,"max_position_embeddings":128,"#
            + #""rms_norm_eps":1e-5,"partial_rotary_factor":0.5,"rope_scaling":{"rope_type":"yarn","#
            + #""factor":4.0,"beta_fast":32,"original_max_position_embeddings":32}}"#
        var mutations = Mutations(of: Array(text.utf8), seed: 20)
        var accepted = 0
        for _ in 0..<20_000 {
            do {
                let document = try JSONDocument(bytes: mutations.next(), name: "config.json")
                let shape = try ModelShape(configuration: document, family: "llama")
                // What is accepted can be built.
                let rotary = RotaryEmbedding(
                    dimension: shape.rotaryDimension, theta: shape.ropeTheta,
                    scaling: shape.rotaryScaling)
                let frequencies = rotary.frequencies(length: 1000)
                #expect(frequencies.filter { !$0.isFinite } == [])
                #expect(rotary.attentionFactor.isFinite)
                #expect((shape.maximumPositions...1 << 24).contains(shape.contextLength))
                accepted += 1
            } catch is FormatError {
            } catch is CheckpointError {
            }
        }
        #expect(accepted > 100)
    }

    private func expectRefusal(_ changes: [String: String], _ what: Comment) {
        #expect(what) {
            try ConfigurationText(changes.mapValues { $0 }).shape()
        } throws: { error in
            let text = "\(error)"
            return (error is CheckpointError || error is FormatError)
                && text.contains("config.json")
        }
    }
}
