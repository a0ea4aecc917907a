/// Which stages of a pipeline a command runs anew.
public enum PipelineSelection: Sendable, Hashable {
    /// None: what is not finished is run.
    case unfinished
    /// A stage and all behind it.
    case from(String)
    /// One stage; those behind it wait for the next command.
    case only(String)

    /// The stage's name.
    var name: String? {
        switch self {
        case .unfinished: nil
        case .from(let name), .only(let name): name
        }
    }

    /// What a record calls it; nil for none.
    var text: String? {
        switch self {
        case .unfinished: nil
        case .from(let name): "from \(name)"
        case .only(let name): "only \(name)"
        }
    }
}
