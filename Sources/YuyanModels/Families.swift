import YuyanFormats
import YuyanNN

/// The families that Yuyan reads; a new one is a file in `Families/` and a line here.
public enum Families {
    /// In the order of search; no two may claim one architecture or model type.
    public static let all: [DecoderFamily] = [.llama, .mistral, .qwen2, .qwen3]

    /// The family of a shape.
    ///
    /// - Throws: `CheckpointError.unsupportedArchitecture` if its name is none of these.
    public static func family(of shape: ModelShape) throws(CheckpointError) -> DecoderFamily {
        guard let family = all.first(where: { $0.name == shape.family }) else {
            throw .unsupportedArchitecture(
                file: "the model", found: shape.family, supported: all.map(\.name))
        }
        return family
    }

    /// The family and shape of an opened checkpoint.
    ///
    /// - Throws: `CheckpointError.unsupportedArchitecture`, or what reading its configuration throws.
    public static func shape(of checkpoint: Checkpoint) throws -> (DecoderFamily, ModelShape) {
        switch checkpoint.source {
        case .gguf(let file):
            let architecture = try file.string("general.architecture")
            guard let family = all.first(where: { $0.architectures.contains(architecture) }) else {
                throw CheckpointError.unsupportedArchitecture(
                    file: checkpoint.path, found: architecture,
                    supported: all.flatMap(\.architectures))
            }
            return (
                family,
                try ModelShape(gguf: file, family: family.name, architecture: architecture)
            )
        case .huggingFace(_, let configuration):
            let type = try configuration.root.string("model_type")
            guard let family = all.first(where: { $0.modelTypes.contains(type) }) else {
                throw CheckpointError.unsupportedArchitecture(
                    file: configuration.name, found: type, supported: all.flatMap(\.modelTypes))
            }
            var shape = try ModelShape(configuration: configuration, family: family.name)
            try family.adjust(&shape, configuration.root, configuration.name)
            return (family, shape)
        }
    }
}
