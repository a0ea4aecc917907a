import CYuyanKernels

/// The vector instructions that kernels may use; every choice gives the same bits.
public enum InstructionSet: String, CaseIterable, Sendable {
    case scalar
    case neon
    case avx2
    case avx512
    case avx512vnni

    var code: yk_isa {
        switch self {
        case .scalar: YK_ISA_SCALAR
        case .neon: YK_ISA_NEON
        case .avx2: YK_ISA_AVX2
        case .avx512: YK_ISA_AVX512
        case .avx512vnni: YK_ISA_AVX512_VNNI
        }
    }

    /// The best one that this processor has.
    public static var best: InstructionSet {
        let code = yk_best_isa()
        return allCases.first { $0.code == code } ?? .scalar
    }

    /// Those that this processor has, slowest first.
    public static var available: [InstructionSet] {
        allCases.filter { yk_kernels_for($0.code) != nil }
    }
}
