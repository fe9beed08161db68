// Grants, growth, pins and sessions, killed after every store: what the broker gives and takes without a name.

#include "proto/heap_record.h"
#include "tests/crash/store_crash.h"

namespace tensorbroker::broker {
namespace {

class MemoryCrash : public StoreCrash {
 protected:
  // Whatever `operate` does, names stay as they are; `prepare` comes after two of them.
  Scenario unnamed(const std::function<void()>& prepare, const std::function<void()>& operate,
                   const std::function<void()>& repeat = {}) {
    return {.prepare =
                [=, this] {
                  put("a", 1);
                  put("b", 2);
                  reader->hold("b");
                  prepare();
                },
            .operate = operate,
            .repeat = repeat,
            .before = {{"a", 1}, {"b", 2}},
            .after = {{"a", 1}, {"b", 2}}};
  }

  // Bytes of the heap that headers take, each in units of 64.
  std::uint64_t heap_used() {
    const Catalog& catalog = store->catalog();
    std::uint64_t used = 0;
    for (EntryId id = 0; id < catalog.root().entries_committed.load(); ++id) {
      if (EntryState::unpack(catalog.entry(id).state.load()).phase != EntryPhase::kUsed) continue;
      used += round_up(HeapRef::unpack(catalog.entry(id).header.load()).bytes, 64);
    }
    return used;
  }

  static std::string metadata_that_fills(std::uint64_t bytes, std::string_view name) {
    for (std::uint64_t n = bytes; n > 0; --n) {
      std::string metadata = R"({"note": ")" + std::string(n, 'x') + R"("})";
      if (round_up(heap_record_bytes(name.size(), header_of(metadata).size()), 64) <= bytes) return metadata;
    }
    return "";
  }

  std::uint64_t other_ = 0;
  Granted granted_;
  Request request_;
};

TEST_F(MemoryCrash, Grant) {
  kill_everywhere(unnamed([] {}, [this] { grant(owner, 3 * kPageSize); }));
}

TEST_F(MemoryCrash, GrantOfPagesThatWereUsed) {
  kill_everywhere(unnamed(
      [this] {
        const Granted before = grant(owner, 2 * kMiB);
        store->give_back(owner, {{before.extent}});
      },
      [this] { grant(owner, kMiB); }));
}

TEST_F(MemoryCrash, GiveBack) {
  kill_everywhere(unnamed([this] { granted_ = grant(owner, 2 * kMiB); },
                          [this] { store->give_back(owner, {{granted_.extent}}); }, [] {}));
}

TEST_F(MemoryCrash, GiveBackOfTheEndOfAnExtent) {
  kill_everywhere(unnamed([this] { granted_ = grant(owner, 2 * kMiB); },
                          [this] { store->give_back(owner, {{granted_.extent}}, {{kMiB}}); }, [] {}));
}

TEST_F(MemoryCrash, TakingFreeExtentsUnderPressure) {
  kill_everywhere(unnamed(
      [this] {
        other_ = connect();
        granted_ = grant(other_, 8 * kMiB);
        store->session_mapping(other_)
            .extent_state(granted_.slot)
            .store(static_cast<std::uint64_t>(ExtentState::kFree));
      },
      [this] { grant(owner, 12 * kMiB); }));
}

TEST_F(MemoryCrash, GrowthOfTheEntries) {
  kill_everywhere(unnamed(
      [this] {
        for (int i = 0; i < 3; ++i) store->grant_spares(connect(), Store::kMaxSpares);
        other_ = connect();
        ASSERT_EQ(store->catalog().root().entries_committed.load(), 1024u);
      },
      [this] {
        store->grant_spares(other_, Store::kMaxSpares);
        if (store->catalog().root().entries_committed.load() == 1024) throw RuntimeError("it did not grow");
      }));
}

// One header takes all that is left of the heap's first pages; the next one finds none.
TEST_F(MemoryCrash, GrowthOfTheHeadersHeap) {
  const auto heap = [this] { return store->catalog().root().heap_committed.load(); };
  Scenario s = unnamed(
      [=, this] {
        Request large = draft("large", 3);
        large.metadata = metadata_that_fills(heap() - heap_used(), large.name);
        put(large);
        ASSERT_LT(heap() - heap_used(), 128u);
        request_ = draft("", 4);
      },
      [=, this] {
        const std::uint64_t before = heap();
        publish(request_);
        if (heap() == before) throw RuntimeError("it did not grow");
      },
      [this] { put(request_); });
  s.before["large"] = s.after["large"] = 3;
  kill_everywhere(s);
}

TEST_F(MemoryCrash, GrowthOfALeaseTable) {
  kill_everywhere(unnamed([this] { store->add_session(1000, 42, owner); },
                          [this] { store->grow_leases(owner, 2 * kInitialLeases); }));
}

TEST_F(MemoryCrash, Spares) {
  kill_everywhere(unnamed([] {}, [this] { store->grant_spares(owner, 8); }));
}

TEST_F(MemoryCrash, NewSession) {
  kill_everywhere(unnamed([] {}, [this] { connect(); }));
}

TEST_F(MemoryCrash, NewHeir) {
  kill_everywhere(unnamed([] {}, [this] { store->add_session(1000, 42, owner); }));
}

TEST_F(MemoryCrash, HeirThatBecomesASession) {
  kill_everywhere(
      unnamed([this] { other_ = store->add_session(1000, 42, owner); }, [this] { store->promote_heir(other_, 43); }));
}

// The one who wrote them: what is published stays, the rest is freed.
TEST_F(MemoryCrash, EndOfAWriter) {
  kill_everywhere(unnamed(
      [this] {
        store->pin_name(owner, "a");
        draft("lost", 3);
        dead = {owner};
      },
      [this] { store->remove_session(owner); }));
}

TEST_F(MemoryCrash, EndOfAReader) {
  kill_everywhere(unnamed(
      [this] {
        other_ = connect();
        get(other_, "a", 0);
        put("a", 1);
        dead = {other_};
      },
      [this] { store->remove_session(other_); }));
}

TEST_F(MemoryCrash, PinAndUnpin) {
  const auto pin = [this] {
    const Pinned pinned = store->pin_name(owner, "a");
    store->unpin(owner, pinned.entry, pinned.generation);
  };
  kill_everywhere(unnamed([] {}, pin));
}

TEST_F(MemoryCrash, SendAndReceive) {
  const auto send = [this] {
    const EntryId entry = get(owner, "a", 0);
    const std::uint64_t seen = generation(entry);
    store->send(entry, seen, 77, owner);
    store->receive(owner, entry, seen, 77);
    store->unpin(owner, entry, seen);
    let_go(owner, 0);
  };
  kill_everywhere(unnamed([] {}, send));
}

TEST_F(MemoryCrash, NewLimits) {
  kill_everywhere(unnamed([] {},
                          [this] {
                            CatalogOptions limits = store->options();
                            limits.capacity = 12 * kMiB;
                            limits.session_limit = 14 * kMiB;
                            limits.user_limit = 15 * kMiB;
                            limits.idle_exit_seconds = 5;
                            store->set_limits(limits);
                          }));
}

}  // namespace
}  // namespace tensorbroker::broker
