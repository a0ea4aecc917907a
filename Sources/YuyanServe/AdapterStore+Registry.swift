import YuyanEngine

extension AdapterStore: AdapterRegistry {
    /// Names and directories of the store's items.
    public var registered: [(name: String, directory: String)] {
        list.map { (name: $0.name, directory: $0.directory) }
    }
}
