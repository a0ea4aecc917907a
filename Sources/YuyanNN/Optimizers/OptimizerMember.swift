import YuyanFormats
import YuyanTensor

/// One parameter and where its state lies in the optimiser's memory.
struct OptimizerMember {
    /// Parameters with fewer elements keep float32 states, as in bitsandbytes.
    static let leastBlocks = 4096

    let parameter: Parameter
    let learningRateFactor: Double
    let weightDecay: Double
    /// Its place among all members.
    let number: Int
    let states: [State]
    /// Whether the states are 8-bit codes.
    let usesBlocks: Bool
    /// Byte offset of the float32 weights, if the parameter's own are rounded.
    let master: Int?
    /// Byte offset of the number of steps, 64 bits.
    let step: Int
    /// The byte behind the last.
    let end: Int

    /// Byte offsets of one of the rule's arrays.
    struct State {
        let name: String
        /// Of the numbers or the codes.
        let offset: Int
        /// Of the float32 scales, a block of codes each.
        let scales: Int
        let map: DynamicMap
    }

    init(
        _ parameter: Parameter, of group: ParameterGroup, number: Int,
        _ configuration: OptimizerConfiguration, _ weights: WeightRounding, at start: Int
    ) {
        self.parameter = parameter
        learningRateFactor = group.learningRateFactor
        weightDecay = group.weightDecay
        self.number = number
        let count = parameter.storageCount
        usesBlocks = Self.usesBlocks(parameter.shape, group, configuration)
        var end = start
        func take(_ byteCount: Int) -> Int {
            defer { end += (byteCount + 63) & ~63 }
            return end
        }
        step = take(MemoryLayout<Int64>.size)
        master = weights.keepsMasters ? take(4 * count) : nil
        var states: [State] = []
        for state in configuration.rule.states {
            let offset = take(usesBlocks ? count : 4 * count)
            let scales = usesBlocks ? take(4 * Self.blockCount(count)) : offset
            states.append(
                State(
                    name: state.name, offset: offset, scales: scales,
                    map: state.isSigned ? .signed : .unsigned))
        }
        self.states = states
        self.end = end
    }

    private static func usesBlocks(
        _ shape: [Int], _ group: ParameterGroup, _ configuration: OptimizerConfiguration
    ) -> Bool {
        configuration.statePrecision == .dynamic8 && !group.keepsFloatStates
            && shape.reduce(1, *) >= leastBlocks
    }

    private static func blockCount(_ count: Int) -> Int {
        (count + DynamicMap.block - 1) / DynamicMap.block
    }

    /// The bytes of states and master that belong to some elements.
    func places(of range: Range<Int>) -> [Range<Int>] {
        let width = usesBlocks ? 1 : 4
        return (states.map { ($0.offset, width) } + (master.map { [($0, 4)] } ?? [])).map {
            $0 + $1 * range.lowerBound..<$0 + $1 * range.upperBound
        }
    }

    /// What is saved of this parameter: name, type, elements and byte offset of each array.
    var arrays: [OptimizerArray] {
        let (name, count) = (parameter.name, parameter.storageCount)
        var arrays = [
            OptimizerArray(name: name + ".step", elementType: .i64, count: 1, offset: step)
        ]
        if let master {
            arrays.append(
                OptimizerArray(
                    name: name + ".master", elementType: .f32, count: count, offset: master))
        }
        for state in states {
            let full = "\(name).\(state.name)"
            arrays.append(
                OptimizerArray(
                    name: full, elementType: usesBlocks ? .u8 : .f32, count: count,
                    offset: state.offset))
            guard usesBlocks else { continue }
            arrays.append(
                OptimizerArray(
                    name: full + ".absmax", elementType: .f32, count: Self.blockCount(count),
                    offset: state.scales))
        }
        return arrays
    }

    /// Bytes that the state of a parameter will take, without making it.
    static func byteCount(
        shape: [Int], elementCount: Int, of group: ParameterGroup,
        _ configuration: OptimizerConfiguration, _ weights: WeightRounding
    ) -> Int {
        func rounded(_ bytes: Int) -> Int { (bytes + 63) & ~63 }
        let blocks = usesBlocks(shape, group, configuration)
        let state =
            blocks
            ? rounded(elementCount) + rounded(4 * blockCount(elementCount))
            : rounded(4 * elementCount)
        return 64 + (weights.keepsMasters ? rounded(4 * elementCount) : 0)
            + configuration.rule.states.count * state
    }
}
