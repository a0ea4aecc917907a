import YuyanFormats
import YuyanTensor

/// Changes parameters by their gradients, one step at a time, with what the rule remembers.
///
/// Every element is computed by itself, so the bits depend neither on threads nor on where the state
/// lies. All of the state is in `arrays`, which restore it exactly.
package final class Optimizer {
    /// Which rule, and how it keeps its state.
    package let configuration: OptimizerConfiguration
    /// How updated weights are stored.
    package let weights: WeightRounding
    let members: [OptimizerMember]
    let memory: StateMemory
    private let cuts: [(member: Int, range: Range<Int>)]

    /// Takes zeroed state for every parameter, whether a gradient has reached it yet or not.
    ///
    /// - Parameters:
    ///   - folder: Where paged state has its file; used only if the configuration asks for it.
    ///   - weights: How weights are stored. Masters start as the weights are now, which are then
    ///     rounded, to nearest.
    /// - Throws: `FormatError.cannotWrite` if there is no room for the state.
    package init(
        _ configuration: OptimizerConfiguration, groups: [ParameterGroup],
        weights: WeightRounding = .none, pagesIn folder: String = "."
    ) throws(FormatError) {
        self.configuration = configuration
        self.weights = weights
        var members: [OptimizerMember] = []
        var byteCount = 0
        for group in groups {
            for parameter in group.parameters {
                let member = OptimizerMember(
                    parameter, of: group, number: members.count, configuration, weights,
                    at: byteCount)
                byteCount = member.end
                members.append(member)
            }
        }
        precondition(
            Set(members.map(\.parameter.name)).count == members.count,
            "two parameters have one name")
        self.members = members
        memory = try StateMemory(
            byteCount: byteCount, folder: configuration.isPaged ? folder : nil)
        cuts = members.enumerated().flatMap { index, member in
            stride(from: 0, to: member.parameter.storageCount, by: Self.cut).map {
                (index, $0..<min($0 + Self.cut, member.parameter.storageCount))
            }
        }
        for member in members { roundFirst(member) }
    }

    /// Makes the master of a parameter's values, if there is one, and rounds the values.
    private func roundFirst(_ member: OptimizerMember) {
        let values = member.parameter.values
        if let master = member.master {
            _ = UnsafeMutableBufferPointer(start: floats(at: master), count: values.count)
                .update(fromContentsOf: values)
            memory.release(master..<master + 4 * values.count)
        }
        switch weights {
        case .none: break
        case .float16Masters: roundedToHalf(values)
        case .bfloat16Masters, .bfloat16Stochastic:
            for index in values.indices { values[index] = BFloat16(nearest: values[index]).float }
        }
    }

    /// Elements that a worker takes at a time: a whole number of 8-bit blocks.
    private static let cut = 1 << 16

    /// Steps that were taken, of the parameter with the most.
    package var stepCount: Int { members.map { steps(of: $0) }.max() ?? 0 }

    /// Changes every parameter that has a gradient; the others, their states and step numbers stay.
    ///
    /// - Parameters:
    ///   - learningRate: The schedule's rate; each group's factor multiplies it.
    ///   - gradientScale: What gradients are multiplied by as they are read.
    package func step(learningRate: Double, gradientScale: Float = 1, on device: Device) {
        // Asked for once, here: a gradient may have sums to close.
        let spans = members.map { Spans($0.parameter) }
        for (member, span) in zip(members, spans) where span != nil {
            stepPlace(of: member).pointee += 1
        }
        device.pool.parallel(cuts.count) { index, _ in
            let cut = cuts[index]
            let member = members[cut.member]
            guard let spans = spans[cut.member] else { return }
            let step = UpdateStep(
                number: steps(of: member),
                learningRate: learningRate * member.learningRateFactor,
                weightDecay: member.weightDecay, gradientScale: gradientScale)
            update(member, cut.range, spans, step)
        }
    }

    // MARK: - One piece of one parameter

    /// Where a parameter's values and gradient begin.
    private struct Spans {
        let values: UnsafeMutablePointer<Float>
        let gradient: UnsafePointer<Float>

        /// Nil if no gradient has reached the parameter.
        init?(_ parameter: Parameter) {
            guard let values = parameter.values.baseAddress,
                let gradient = parameter.gradient?.baseAddress
            else { return nil }
            self.values = values
            self.gradient = UnsafePointer(gradient)
        }
    }

    private func update(
        _ member: OptimizerMember, _ range: Range<Int>, _ spans: Spans, _ step: UpdateStep
    ) {
        let (values, gradient) = (spans.values, spans.gradient)
        let target = member.master.map { floats(at: $0) } ?? values
        if member.usesBlocks {
            for first in stride(from: range.lowerBound, to: range.upperBound, by: block) {
                let part = first..<min(first + block, range.upperBound)
                updateBlock(member, part, target: target, gradient: gradient, step)
            }
        } else {
            // A rule does not touch states that it does not have.
            let first = member.states.first.map { floats(at: $0.offset) } ?? target
            let second = member.states.count > 1 ? floats(at: member.states[1].offset) : first
            let at = range.lowerBound
            configuration.rule.update(
                UpdateSpan(
                    values: target + at, gradient: gradient + at, first: first + at,
                    second: second + at, count: range.count), step)
        }
        switch weights {
        case .none: break
        case .bfloat16Masters:
            for i in range { values[i] = BFloat16(nearest: target[i]).float }
        case .float16Masters:
            for i in range { values[i] = Float(Float16(target[i])) }
        case .bfloat16Stochastic(let random):
            roundStochastically(
                values, range, random,
                stream: UInt64(step.number) << 32 | UInt64(member.number))
        }
        for place in member.places(of: range) { memory.release(place) }
    }

    private var block: Int { DynamicMap.block }

    /// Widens a block's states, takes the step, and rounds them to 8 bits again.
    private func updateBlock(
        _ member: OptimizerMember, _ range: Range<Int>, target: UnsafeMutablePointer<Float>,
        gradient: UnsafePointer<Float>, _ step: UpdateStep
    ) {
        withUnsafeTemporaryAllocation(of: Float.self, capacity: 2 * block) { buffer in
            guard let wide = buffer.baseAddress else { return }
            let (at, number) = (range.lowerBound, range.lowerBound / block)
            for (index, state) in member.states.enumerated() {
                state.map.widen(
                    bytes(at: state.offset) + at, scale: floats(at: state.scales)[number],
                    count: range.count, into: wide + index * block)
            }
            configuration.rule.update(
                UpdateSpan(
                    values: target + at, gradient: gradient + at, first: wide,
                    second: wide + block, count: range.count), step)
            for (index, state) in member.states.enumerated() {
                floats(at: state.scales)[number] = state.map.quantize(
                    wide + index * block, count: range.count, into: bytes(at: state.offset) + at)
            }
        }
    }

    // MARK: - Places in memory

    func floats(at offset: Int) -> UnsafeMutablePointer<Float> {
        (memory.start + offset).assumingMemoryBound(to: Float.self)
    }

    private func bytes(at offset: Int) -> UnsafeMutablePointer<UInt8> {
        (memory.start + offset).assumingMemoryBound(to: UInt8.self)
    }

    private func stepPlace(of member: OptimizerMember) -> UnsafeMutablePointer<Int64> {
        (memory.start + member.step).assumingMemoryBound(to: Int64.self)
    }

    private func steps(of member: OptimizerMember) -> Int { Int(stepPlace(of: member).pointee) }
}
