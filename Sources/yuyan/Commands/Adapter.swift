import ArgumentParser
import YuyanFormats
import YuyanNN

struct Adapter: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Look into LoRA adapters, merge them into a model, convert them.",
        discussion: """
            Example: yuyan adapter inspect my-adapter
            """,
        subcommands: [AdapterInspect.self, AdapterMerge.self, AdapterConvert.self])
}

/// How floats are saved.
enum SavedType: String, CaseIterable, ExpressibleByArgument {
    case f32, bf16, f16

    var elementType: ElementType {
        switch self {
        case .f32: .f32
        case .bf16: .bf16
        case .f16: .f16
        }
    }
}

struct AdapterInspect: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Show what an adapter updates, and by how much.",
        discussion: """
            Example: yuyan adapter inspect my-adapter

            The norm is Frobenius' of s B A, what is added to the weight. Modules of one kind share a \
            line; --json prints one object with all of them: path, format, base_model, bytes, \
            parameters, element_types, modules [{path, rank, scale, parameters, norm, dora}]; rank, \
            scale and norm are null for a whole weight (modules_to_save).
            """)

    @Argument(help: "A directory that PEFT saved, or a GGUF adapter.")
    var adapter: String
    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let summary = try AdapterSummary(path: adapter)
        Terminal.write(
            json ? summary.json(path: adapter).description + "\n" : summary.text(path: adapter))
    }
}

extension AdapterSummary {
    func json(path: String) -> JSONOutput {
        let types = elementTypes.map { (key: $0.key.name, value: JSONOutput.integer($0.value)) }
            .sorted { $0.key < $1.key }
        return [
            "path": .string(path),
            "format": .string(format),
            "base_model": baseModel.map { .string($0) } ?? .null,
            "bytes": .integer(byteCount),
            "parameters": .integer(parameters),
            "element_types": .object(types),
            "modules": .array(
                parts.map { part in
                    [
                        "path": .string(part.path),
                        "rank": part.rank.map { .integer($0) } ?? .null,
                        "scale": part.scale.map { .double($0) } ?? .null,
                        "parameters": .integer(part.parameters),
                        "norm": part.norm.map { .double($0) } ?? .null,
                        "dora": .bool(part.hasMagnitude),
                    ]
                }),
        ]
    }

    func text(path: String) -> String {
        var head = Table(left: [0, 1])
        head.add("file", path.printable)
        head.add("format", format + (parts.contains(where: \.hasMagnitude) ? ", DoRA" : ""))
        if let baseModel { head.add("base model", baseModel.printable.abbreviated(to: 100)) }
        head.add("size", "\(byteCount.memorySize) (\(byteCount.grouped) bytes)")
        head.add(
            "stored as",
            elementTypes.map { "\($0.key.name) (\($0.value) tensors)" }.sorted()
                .joined(separator: ", "))
        head.add("parameters", parameters.grouped)
        var table = Table()
        table.add("", "modules", "rank", "scale", "parameters", "norm", "largest")
        for (kind, parts) in kinds {
            let norms = parts.compactMap(\.norm)
            let mean = (norms.reduce(0) { $0 + $1 * $1 } / Double(max(1, norms.count))).squareRoot()
            table.add(
                kind.printable, "\(parts.count)",
                Self.range(parts.compactMap(\.rank).map(Double.init), digits: 0),
                Self.range(parts.compactMap(\.scale), digits: 3),
                parts.reduce(0) { $0 + $1.parameters }.grouped,
                norms.isEmpty ? "whole" : mean.formatted(digits: 4),
                norms.max().map { $0.formatted(digits: 4) } ?? "")
        }
        return "Adapter\n" + head.text + "\nModules\n" + table.text
    }

    /// The parts by what their paths say without the numbers, in the order of the first of each.
    private var kinds: [(kind: String, parts: [Part])] {
        var order: [String] = []
        var groups: [String: [Part]] = [:]
        for part in parts {
            let kind = part.path.split(separator: ".").filter { Int($0) == nil }
                .filter { $0 != "model" && $0 != "layers" && $0 != "blk" }
                .joined(separator: ".")
            if groups[kind] == nil { order.append(kind) }
            groups[kind, default: []].append(part)
        }
        return order.map { ($0, groups[$0] ?? []) }
    }

    private static func range(_ values: [Double], digits: Int) -> String {
        guard let least = values.min(), let most = values.max() else { return "" }
        let text = least.formatted(digits: digits)
        return least == most ? text : text + "–" + most.formatted(digits: digits)
    }
}
