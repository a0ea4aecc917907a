import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// How a failed precondition ends a process; an error thrown by the test's own set-up does not.
#if arch(x86_64)
    package let trap = ExitTest.Condition.signal(SIGILL)
#else
    package let trap = ExitTest.Condition.signal(SIGTRAP)
#endif
