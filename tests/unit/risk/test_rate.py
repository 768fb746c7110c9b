from bellwire.risk.rate import TokenBucket


def test_a_burst_passes_and_the_next_waits_one_interval():
    bucket = TokenBucket(burst=3, interval_nanos=100)
    for left in (3, 2, 1):
        assert bucket.tokens(1_000) == left
        assert bucket.allows(1_000)
        bucket.take(1_000)
    assert bucket.tokens(1_000) == 0
    assert not bucket.allows(1_099)
    assert bucket.allows(1_100)


def test_time_that_runs_backwards_refills_nothing():
    bucket = TokenBucket(burst=1, interval_nanos=100)
    bucket.take(1_000)
    assert not bucket.allows(5)
    assert bucket.tokens(5) == 0
    assert bucket.allows(1_100)


def test_a_long_silence_fills_the_bucket_and_not_more():
    bucket = TokenBucket(burst=2, interval_nanos=100)
    bucket.take(1_000)
    assert bucket.tokens(10**9) == 2
