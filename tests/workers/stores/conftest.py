from tests.worlds.fixtures import empty_valkey, redis_store, store, valkey

__all__ = ["empty_valkey", "redis_store", "store", "valkey"]
