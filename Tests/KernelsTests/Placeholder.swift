import Testing
// KernelsTests
