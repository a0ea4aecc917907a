/// What one forward pass of training carries through every layer.
///
/// Unchecked: the place is written by the one thread that runs the pass.
package final class TrainingPass: @unchecked Sendable {
    /// Where operations record themselves; nil computes as in training (dropout) without gradients.
    package let tape: Tape?
    /// Random numbers of this pass.
    package let dropout: DropoutNumbers
    /// Looks at every operation's numbers, if set; costs a pass over memory each.
    package let tripwire: Tripwire?
    /// The part of the model that is being computed, for messages.
    package var place = ""

    package init(
        tape: Tape?, dropout: DropoutNumbers = DropoutNumbers(seed: 0),
        tripwire: Tripwire? = nil
    ) {
        self.tape = tape
        self.dropout = dropout
        self.tripwire = tripwire
    }

    /// The same pass with another tape.
    package func with(_ tape: Tape?) -> TrainingPass {
        let pass = TrainingPass(tape: tape, dropout: dropout, tripwire: tripwire)
        pass.place = place
        return pass
    }
}

/// Which random numbers a pass draws: a pure function of seed, module and token of the run.
package struct DropoutNumbers: Sendable, Hashable {
    package let random: CounterRandom
    /// For each row of the pass, which token of the run it is, so that the cut into passes changes
    /// no number; nil if rows count from 0.
    package let tokens: [UInt64]?

    package init(seed: UInt64, tokens: [UInt64]? = nil) {
        random = CounterRandom(seed: seed)
        self.tokens = tokens
    }

    func token(ofRow row: Int) -> UInt64 { tokens?[row] ?? UInt64(row) }
}

extension Device {
    /// Records an operation with several outputs if one of `sources` wants a gradient.
    ///
    /// - Parameter backward: Called only then; what its result captures lives until the backward.
    func record(
        _ name: StaticString, _ outputs: inout [Tensor],
        from sources: @autoclosure () -> [GradientSource?], _ backward: () -> Tape.Backward
    ) {
        guard let training else { return }
        if let tripwire = training.tripwire {
            for output in outputs {
                tripwire.check(output, operation: name, place: training.place, .forward)
            }
        }
        guard let tape = training.tape,
            sources().contains(where: { $0.map(\.isWanted) ?? false })
        else { return }
        tape.record(name, place: training.place, &outputs, backward)
    }

    /// Records an operation that is defined above this target.
    ///
    /// - Parameters:
    ///   - isReached: Whether the backward has anything to pass on.
    ///   - backward: Gets the output's gradient.
    package func record(
        _ name: StaticString, _ output: inout Tensor, isReached: Bool,
        backward: @escaping (_ gradient: Tensor, _ gradients: inout Gradients) -> Void
    ) {
        guard isReached, let training, let tape = training.tape else { return }
        training.tripwire?.check(output, operation: name, place: training.place, .forward)
        var outputs = [output]
        tape.record(name, place: training.place, &outputs) {
            { arrived, gradients in
                if let gradient = arrived[0] { backward(gradient, &gradients) }
            }
        }
        output = outputs[0]
    }

    /// Records an operation with one output.
    func record(
        _ name: StaticString, _ output: inout Tensor,
        from sources: @autoclosure () -> [GradientSource?],
        _ backward: () -> (_ gradient: Tensor, _ gradients: inout Gradients) -> Void
    ) {
        guard training != nil else { return }
        var outputs = [output]
        record(name, &outputs, from: sources()) {
            let pass = backward()
            return { arrived, gradients in
                guard let gradient = arrived[0] else { return }
                pass(gradient, &gradients)
            }
        }
        output = outputs[0]
    }

    /// Whether recorded operations may leave recipes instead of their outputs.
    var keepsRecipes: Bool { training?.tape.map { !$0.discards } ?? false }

    /// This device without a training pass.
    package var inferring: Device { training == nil ? self : self.training(nil) }
}

/// Runs a part of the model without keeping its inner tensors, which its backward computes again.
///
/// Chen, Xu, Zhang and Guestrin, "Training Deep Nets with Sublinear Memory Cost",
/// arXiv:1604.06174. The second run repeats the first bit for bit, and sums arrive in the same
/// order as without this, so gradients have the same bits.
///
/// - Parameter body: Gets `x` and a device that records; must use nothing else that has a source.
package func checkpointed(
    _ x: Tensor, on device: Device, _ body: @escaping (Tensor, Device) -> Tensor
) -> Tensor {
    guard let pass = device.training, let tape = pass.tape, !tape.discards else {
        return body(x, device)
    }
    let probe = Tape(discards: true)
    var output = body(
        x.source == nil ? x : probe.leaf(x), device.training(pass.with(probe)))
    guard output.source != nil else { return output }
    output.source = nil
    output.recipe = nil
    // The probe knows that a gradient wants to come here, perhaps only to parameters inside.
    var outputs = [output]
    tape.record("checkpoint", place: pass.place, &outputs) {
        { arrived, gradients in
            guard let gradient = arrived[0] else { return }
            let inner = Tape()
            let input = x.source == nil ? x : inner.leaf(x)
            let again = gradients.device.training(pass.with(inner))
            let output = body(input, again)
            var found = inner.backward([(output, gradient)], on: again)
            if let gradient = found.take(input) { gradients.add(gradient, to: x.source) }
        }
    }
    return outputs[0]
}
