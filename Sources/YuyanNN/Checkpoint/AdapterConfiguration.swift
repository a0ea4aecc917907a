import YuyanFormats

/// What `adapter_config.json` says that matters for inference, after PEFT 0.21.
///
/// Keys that only concern training are passed over; keys that would change what is computed and
/// that Yuyan does not know how to follow are refused.
struct AdapterConfiguration: Sendable {
    /// Which modules a list or an expression names.
    private enum Names {
        case allLinear
        case list([String])
        case pattern(ModulePattern, text: String)
    }

    /// The path that errors name.
    let file: String
    /// `base_model_name_or_path`, which nothing depends on.
    let baseModel: String?
    /// Whether each update comes with magnitudes.
    let hasMagnitudes: Bool
    private let rank: Int
    private let alpha: Double
    private let rankPattern: [(key: String, ModulePattern, Int)]
    private let alphaPattern: [(key: String, ModulePattern, Double)]
    /// Whether factors are `alpha / sqrt(r)`.
    let dividesByRoot: Bool
    private let targets: Names
    private let excluded: Names?
    private let layers: Set<Int>?
    /// Endings of the paths of modules that are saved whole.
    private let saved: [String]

    /// - Throws: `FormatError` on missing and mistyped keys, `AdapterError` on wrong values.
    init(_ document: JSONDocument) throws {
        file = document.name
        let reader = Reader(file: document.name, root: document.root)
        try reader.refuseUnsupported()
        let values = reader.values
        rank = try values.rank(document.root.optionalInt("r") ?? 8, key: "r")
        alpha = try values.finite(document.root.optionalDouble("lora_alpha") ?? 8, "lora_alpha")
        dividesByRoot = try document.root.optionalBool("use_rslora") ?? false
        hasMagnitudes = try document.root.optionalBool("use_dora") ?? false
        baseModel = document.root["base_model_name_or_path"]?.string
        rankPattern = try reader.pattern("rank_pattern") { try values.rank($0.int, key: $1) }
        alphaPattern = try reader.pattern("alpha_pattern") { try values.finite($0.double, $1) }
        guard let targets = try reader.names("target_modules") else {
            throw AdapterError.configuration(
                file: document.name, key: "target_modules", found: "missing or empty",
                expected: "names of modules")
        }
        self.targets = targets
        excluded = try reader.names("exclude_modules")
        layers = try reader.layers()
        saved = try reader.list("modules_to_save") ?? []
    }

    /// What a recipe asks for.
    ///
    /// - Throws: `AdapterError` on wrong values and expressions.
    init(_ wanted: LowRankConfiguration) throws {
        file = "the recipe"
        let reader = ValueReader(file: file)
        baseModel = nil
        saved = []
        rank = try reader.rank(wanted.rank, key: "lora_rank")
        alpha = try reader.finite(wanted.alpha, "lora_alpha")
        dividesByRoot = wanted.dividesByRoot
        hasMagnitudes = wanted.hasMagnitudes
        rankPattern = try wanted.rankPattern.map { key, rank in
            (key, try reader.expression(key, key: "rank_pattern"), try reader.rank(rank, key: key))
        }
        alphaPattern = try wanted.alphaPattern.map { key, alpha in
            (key, try reader.expression(key, key: "alpha_pattern"), try reader.finite(alpha, key))
        }
        targets = try reader.names(wanted.targets, key: "lora_target")
        excluded = try wanted.excluded.map { try reader.names($0, key: "exclude_modules") }
        layers = wanted.layers
        guard wanted.dropout >= 0, wanted.dropout < 1 else {
            throw AdapterError.configuration(
                file: file, key: "lora_dropout", found: "\(wanted.dropout)",
                expected: "at least 0, less than 1")
        }
    }

    /// Checks that every name of the targets is that of a module, and that a pattern has any.
    func checkAllNamed(in paths: [String]) throws(AdapterError) {
        if case .list(let names) = targets {
            for name in names where !paths.contains(where: { Self.ends($0, in: name) }) {
                let ends = Set(paths.map { String($0.split(separator: ".").last ?? "") })
                throw .configuration(
                    file: file, key: "lora_target", found: "'\(name)'",
                    expected: "names of modules; nearest: "
                        + nearestNames(to: name, in: ends.sorted()).joined(separator: ", "))
            }
        }
        for path in paths where try names(path) { return }
        throw .configuration(
            file: file, key: "lora_target", found: "no module of the model",
            expected: "'all', or names such as q_proj, v_proj")
    }

    private static func ends(_ path: String, in name: String) -> Bool {
        path == name || path.hasSuffix("." + name)
    }

    /// Rank `r` of a module's update and the factor `s` of its product.
    func rankAndScale(of path: String) throws(AdapterError) -> (rank: Int, scale: Float) {
        let (rank, alpha) = try rankAndAlpha(of: path)
        let scale = Float(dividesByRoot ? alpha / Double(rank).squareRoot() : alpha / Double(rank))
        guard scale.isFinite else {
            throw .configuration(
                file: file, key: "lora_alpha", found: "\(alpha)", expected: "a float32 number")
        }
        return (rank, scale)
    }

    /// Rank of a module's update and its alpha, which files hold in the place of the factor.
    func rankAndAlpha(of path: String) throws(AdapterError) -> (rank: Int, alpha: Double) {
        (
            try value(of: path, in: rankPattern, "rank_pattern") ?? rank,
            try value(of: path, in: alphaPattern, "alpha_pattern") ?? alpha
        )
    }

    /// Whether the configuration gives this module an update.
    func names(_ path: String) throws(AdapterError) -> Bool {
        if let excluded, try contains(path, excluded, "exclude_modules") { return false }
        guard try contains(path, targets, "target_modules") else { return false }
        guard let layers else { return true }
        let parts = path.split(separator: ".")
        let index = parts.dropFirst(2).lazy.compactMap { Int($0) }.first
        return index.map(layers.contains) ?? false
    }

    /// Whether the configuration gives an embedding an update, which `all-linear` does not.
    func namesEmbedding(_ path: String) throws(AdapterError) -> Bool {
        if case .allLinear = targets { return false }
        return try names(path)
    }

    /// Whether the module is saved whole; PEFT compares the ends of paths, letter by letter.
    func saves(_ path: String) -> Bool { saved.contains(where: path.hasSuffix) }

    private func contains(
        _ path: String, _ names: Names, _ key: String
    ) throws(AdapterError) -> Bool {
        switch names {
        case .allLinear: return path != "lm_head"
        case .list(let list):
            return list.contains { Self.ends(path, in: $0) }
        case .pattern(let pattern, let text):
            do { return try pattern.matches(path) } catch { throw refused(error, key, text) }
        }
    }

    /// The value of the first key that matches the end of the path.
    private func value<Value>(
        of path: String, in pattern: [(key: String, ModulePattern, Value)], _ name: String
    ) throws(AdapterError) -> Value? {
        for (key, expression, value) in pattern {
            do {
                if try expression.matchesEnd(of: path) { return value }
            } catch { throw refused(error, name, key) }
        }
        return nil
    }

    private func refused(
        _ fault: ModulePattern.Fault, _ key: String, _ text: String
    ) -> AdapterError {
        ValueReader.refused(fault, file: file, key: key, text: text)
    }
}

extension AdapterConfiguration {
    /// Reads and checks single keys.
    private struct Reader {
        let file: String
        let root: JSONCursor
        var values: ValueReader { ValueReader(file: file) }

        /// Initialisations that change the base weights, which a plain update would then not fit.
        private static let changingBase = ["pissa", "olora", "loftq", "corda", "lora_ga"]
        /// Keys that are off when absent, null, false or empty, and what to do if they are not.
        private static let unsupported: KeyValuePairs = [
            "lora_bias": "false: updates without bias",
            "target_parameters": "none: only projections can be updated",
            "layer_replication": "none: the model's own layers",
            "trainable_token_indices": "none: embeddings cannot be updated",
            "use_qalora": "false",
            "use_bdlora": "none",
            "alora_invocation_tokens": "none: an update of the whole sequence",
            "arrow_config": "none",
            "kasa_config": "none",
            "megatron_config": "none",
        ]
        private static let known: Set<String> = ["use_rslora", "use_dora"]

        func refuseUnsupported() throws {
            let type = try root.string("peft_type")
            guard type.uppercased() == "LORA" else {
                throw refusal("peft_type", "'\(type)'", "LORA")
            }
            let bias = try root.optionalString("bias") ?? "none"
            guard bias == "none" else {
                throw refusal("bias", "'\(bias)'", "none: biases of the model stay as they are")
            }
            for (key, expected) in Self.unsupported {
                guard let value = root[key], isOn(value) else { continue }
                throw refusal(key, text(value), expected)
            }
            for (key, value) in root.entries ?? [] where key.hasPrefix("use_") {
                guard isOn(value), !Self.known.contains(key),
                    !Self.unsupported.contains(where: { $0.key == key })
                else { continue }
                throw refusal(key, text(value), "a variant that Yuyan knows (rslora, dora)")
            }
            if let value = root["init_lora_weights"]?.string?.lowercased(),
                let kind = Self.changingBase.first(where: value.hasPrefix)
            {
                throw refusal(
                    "init_lora_weights", "'\(value)'",
                    "true: \(kind) changes the base weights; save with PEFT's "
                        + "path_initial_model_for_weight_conversion")
            }
        }

        private func isOn(_ value: JSONCursor) -> Bool {
            switch value.kind {
            case .null: false
            case .bool: value.bool == true
            case .array, .object: value.count > 0
            default: true
            }
        }

        private func text(_ value: JSONCursor) -> String {
            value.bool.map { "\($0)" } ?? value.string.map { "'\($0)'" } ?? "\(value.kind)"
        }

        private func refusal(_ key: String, _ found: String, _ expected: String) -> AdapterError {
            .unsupported(file: file, key: key, found: found, expected: expected)
        }

        /// An object from expressions to values, in the order of the file.
        func pattern<Value>(
            _ key: String, _ read: (JSONCursor, _ key: String) throws -> Value
        ) throws -> [(key: String, ModulePattern, Value)] {
            guard let value = root[key], !value.isNull else { return [] }
            return try (root.object(key).entries ?? []).map { name, value in
                (name, try values.expression(name, key: key), try read(value, "\(key).\(name)"))
            }
        }

        func names(_ key: String) throws -> Names? {
            guard let value = root[key], isOn(value) else { return nil }
            if let text = value.string {
                if text == "all-linear", key == "target_modules" { return .allLinear }
                return .pattern(try values.expression(text, key: key), text: text)
            }
            return try list(key).map { .list($0) }
        }

        /// A list of names; nil if there is none.
        func list(_ key: String) throws -> [String]? {
            guard let value = root[key], isOn(value) else { return nil }
            return try root.array(key).map { name in
                guard let name = name.string else {
                    throw AdapterError.configuration(
                        file: file, key: key, found: "a list with \(name.kind)",
                        expected: "a list of names")
                }
                return name
            }
        }

        func layers() throws -> Set<Int>? {
            guard let value = root["layers_to_transform"], isOn(value) else { return nil }
            if let pattern = root["layers_pattern"], isOn(pattern) {
                let names = pattern.string.map { [$0] } ?? pattern.array?.compactMap(\.string)
                guard names == ["layers"] else {
                    throw refusal("layers_pattern", text(pattern), "'layers' or none")
                }
            }
            if let one = value.int { return [one] }
            return Set(
                try root.array("layers_to_transform").map { layer in
                    guard let index = layer.int else {
                        throw AdapterError.configuration(
                            file: file, key: "layers_to_transform", found: "\(layer.kind)",
                            expected: "whole numbers")
                    }
                    return index
                })
        }
    }
}

extension AdapterConfiguration {
    /// Checks single values, wherever they were written.
    private struct ValueReader {
        let file: String

        func rank(_ value: Int?, key: String) throws(AdapterError) -> Int {
            guard let value, value > 0, value <= 1 << 20 else {
                throw .configuration(
                    file: file, key: key, found: value.map { "\($0)" } ?? "no whole number",
                    expected: "1 to \(1 << 20)")
            }
            return value
        }

        func finite(_ value: Double?, _ key: String) throws(AdapterError) -> Double {
            guard let value, value.isFinite else {
                throw .configuration(
                    file: file, key: key, found: "no number", expected: "a finite number")
            }
            return value
        }

        func names(_ targets: LowRankConfiguration.Targets, key: String) throws -> Names {
            switch targets {
            case .allLinear: .allLinear
            case .names(let names): .list(names)
            case .pattern(let text): .pattern(try expression(text, key: key), text: text)
            }
        }

        func expression(_ text: String, key: String) throws(AdapterError) -> ModulePattern {
            do { return try ModulePattern(text) } catch {
                throw Self.refused(error, file: file, key: key, text: text)
            }
        }

        static func refused(
            _ fault: ModulePattern.Fault, file: String, key: String, text: String
        ) -> AdapterError {
            let reason =
                switch fault {
                case .syntax(let what): what
                case .tooComplex: "repetitions nested too deep"
                }
            return .unsupported(
                file: file, key: key, found: "'\(text)' with \(reason)",
                expected: "names or simple regular expressions")
        }
    }
}
