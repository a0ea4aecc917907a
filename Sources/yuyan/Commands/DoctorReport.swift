import YuyanFormats
import YuyanTensor

/// What `doctor` prints.
struct DoctorReport {
    /// What a number of threads reaches.
    struct Rates {
        let peak: MachinePeak
        let floatProduct: Double
        let roundedProduct: Double
        /// The products of a training step's way back.
        let gradients: (input: Double, weight: Double)

        init(_ device: Device, bufferBytes: Int = 256 << 20, repeats: Int = 5) throws {
            peak = device.measuredPeak(bufferBytes: bufferBytes, repeats: repeats)
            floatProduct = try device.measuredProduct(.f32, repeats: repeats)
            roundedProduct = try device.measuredProduct(.q8_0, repeats: repeats)
            gradients = try device.measuredGradients(repeats: repeats)
        }
    }

    let machine: Machine
    let device: Device
    let one: Rates
    /// The same as `one` if there is one thread.
    let all: Rates
    let dispatch: Double
    let warnings: [String]

    init(machine: Machine, device: Device, one: Rates, all: Rates?, dispatch: Double) {
        self.machine = machine
        self.device = device
        self.one = one
        self.all = all ?? one
        self.dispatch = dispatch
        warnings = Self.warnings(machine, device, one, all ?? one, dispatch)
    }

    private static func warnings(
        _ machine: Machine, _ device: Device, _ one: Rates, _ all: Rates, _ dispatch: Double
    ) -> [String] {
        var warnings: [String] = []
        let threads = device.pool.threadCount
        let usable = max(1, Int(machine.usableProcessors))
        if threads > usable {
            warnings.append(
                "\(threads) threads for \(usable) usable processors: threads wait for each other; "
                    + "use --threads \(usable)")
        }
        if device.instructionSet == .scalar {
            warnings.append(
                "scalar kernels: this processor or build has no AVX2 or NEON, or --kernels "
                    + "scalar was given; expect a tenth of the speed")
        } else if device.instructionSet != .best {
            warnings.append(
                "--kernels \(device.instructionSet.rawValue) although this processor has "
                    + "\(InstructionSet.best.rawValue); leave the option out")
        }
        if let load = machine.load, load > machine.usableProcessors * 0.5 {
            warnings.append(
                "other programs keep \(load.formatted(digits: 1)) processors busy: the rates "
                    + "above are too low; measure again when the machine is quiet")
        }
        if threads > 1, threads <= usable, all.peak.gigaflops < 1.5 * one.peak.gigaflops {
            warnings.append(
                "\(threads) threads reach only \((all.peak.gigaflops / one.peak.gigaflops).formatted(digits: 1))"
                    + " times the GFLOP/s of one: processors may be shared or hyper-threads; "
                    + "try half as many --threads")
        }
        if dispatch > 20e-6 {
            warnings.append(
                "sharing out work takes \((dispatch * 1e6).formatted(digits: 0)) µs, hundreds of "
                    + "times a token: other programs hold the processors; use fewer --threads")
        }
        if machine.hugePages == "never" {
            warnings.append(
                "transparent huge pages are off: weights cost more address translations; "
                    + "`echo madvise > /sys/kernel/mm/transparent_hugepage/enabled` as root")
        }
        if let free = machine.availableMemory, free < 1 << 30 {
            warnings.append(
                "only \(free >> 20) MiB of memory are free: models that do not fit are read from "
                    + "disk again and again; close other programs")
        }
        return warnings
    }
}

extension DoctorReport {
    var json: JSONOutput {
        func peak(_ rates: Rates) -> JSONOutput {
            [
                "threads": .integer(rates.peak.threads),
                "gflops": .double(rates.peak.gigaflops),
                "gbs": .double(rates.peak.readGigabytes),
                "triad_gbs": .double(rates.peak.triadGigabytes),
            ]
        }
        func product(_ rates: Rates) -> JSONOutput {
            [
                "f32_gflops": .double(rates.floatProduct),
                "int16_gflops": .double(rates.roundedProduct),
                "input_gradient_gflops": .double(rates.gradients.input),
                "weight_gradient_gflops": .double(rates.gradients.weight),
            ]
        }
        return [
            "cpu": machine.processorName.map { .string($0) } ?? .null,
            "features": .array(machine.features.map { .string($0) }),
            "processors": .integer(machine.processors),
            "usable_processors": .double(machine.usableProcessors),
            "load": machine.load.map { .double($0) } ?? .null,
            "instruction_sets": .array(InstructionSet.available.map { .string($0.rawValue) }),
            "instruction_set": .string(device.instructionSet.rawValue),
            "kernels": .object(
                device.kernelChoices.map { (key: $0.operation, value: .string($0.kernel)) }),
            "threads": .integer(device.pool.threadCount),
            "memory_bytes": .integer(machine.memory),
            "memory_available_bytes": machine.availableMemory.map { .integer($0) } ?? .null,
            "huge_pages": machine.hugePages.map { .string($0) } ?? .null,
            "peak": ["one_thread": peak(one), "all_threads": peak(all)],
            "gemm": ["one_thread": product(one), "all_threads": product(all)],
            "dispatch_us": .double(dispatch * 1e6),
            "warnings": .array(warnings.map { .string($0) }),
        ]
    }

    var text: String {
        func rate(_ one: Double, _ all: Double, _ unit: String, digits: Int = 0) -> String {
            "\(one.formatted(digits: digits)) with 1 thread, \(all.formatted(digits: digits)) with "
                + "\(device.pool.threadCount), \(unit)"
        }
        var rows: [(String, String)] = [
            ("processor", machine.processorName ?? "unknown"),
            ("features", machine.features.joined(separator: " ")),
            (
                "processors",
                "\(machine.processors), usable \(machine.usableProcessors.formatted(digits: 1))"
            ),
            (
                "instruction sets",
                InstructionSet.available.map(\.rawValue).joined(separator: ", ")
                    + "; chosen \(device.instructionSet.rawValue)"
            ),
            ("memory", memoryText),
            ("huge pages", machine.hugePages ?? "unknown"),
        ]
        rows += device.kernelChoices.map { ($0.operation, $0.kernel) }
        rows += [
            ("FMA peak", rate(one.peak.gigaflops, all.peak.gigaflops, "GFLOP/s")),
            ("product f32", rate(one.floatProduct, all.floatProduct, "GFLOP/s")),
            (
                "product int16",
                rate(one.roundedProduct, all.roundedProduct, "GFLOP/s (Q8_0 weights)")
            ),
            (
                "gradient of an input",
                rate(one.gradients.input, all.gradients.input, "GFLOP/s (f32)")
            ),
            (
                "gradient of a weight",
                rate(one.gradients.weight, all.gradients.weight, "GFLOP/s (f32)")
            ),
            ("reading", rate(one.peak.readGigabytes, all.peak.readGigabytes, "GB/s", digits: 1)),
            ("triad", rate(one.peak.triadGigabytes, all.peak.triadGigabytes, "GB/s", digits: 1)),
            ("dispatch", "\((dispatch * 1e6).formatted(digits: 2)) µs"),
        ]
        let width = rows.map(\.0.count).max() ?? 0
        let lines = rows.map { name, value in
            name + String(repeating: " ", count: width + 2 - name.count) + value
        }
        let notes = warnings.isEmpty ? ["No warnings."] : warnings.map { "Warning: " + $0 + "." }
        return (lines + [""] + notes).joined(separator: "\n")
    }

    private var memoryText: String {
        let total = "\(machine.memory >> 20) MiB"
        return machine.availableMemory.map { "\(total), \($0 >> 20) MiB free" } ?? total
    }
}
