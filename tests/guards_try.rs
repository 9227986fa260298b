//! x
#[test]
fn hunts() {
    use billing_core::guard::Guard;
    for guard in [Guard::SubscriptionCondition, Guard::IntentCheck, Guard::SupersedeProof, Guard::ResendWindow] {
        let t = std::time::Instant::now();
        let c = system_tests::sim::guards::hunt(guard, 400, 40);
        println!("{guard:?} {:?} {:?}", c, t.elapsed());
    }
}
#[test]
fn exha() {
    let t = std::time::Instant::now();
    let cases = system_tests::sim::exhaustive::cases();
    println!("{} cases {:?}", cases.len(), t.elapsed());
    let mut points = 0;
    for (i, case) in cases.iter().enumerate().step_by(9) {
        let tried = system_tests::sim::exhaustive::try_everywhere(case);
        points += tried.crash_points;
        if !tried.broken.is_empty() {
            println!("{i} {} {}: {} {:?}", case.name, tried.crash_points, tried.broken.len(), &tried.broken[0]);
        }
    }
    println!("{points} {:?}", t.elapsed());
}
