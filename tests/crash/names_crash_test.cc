// Put, replace, delete, reclaim and the compaction of the name index, killed after every store.

#include "tests/crash/store_crash.h"

namespace tensorbroker::broker {
namespace {

class NamesCrash : public StoreCrash {
 protected:
  // A publication as `operate`; asked again by the same client.
  Scenario publication(const std::string& name, int value, const std::function<void()>& before = [] {}) {
    return {.prepare =
                [=, this] {
                  put("other", 9);
                  before();
                  request_ = draft(name, value);
                },
            .operate =
                [this] {
                  publish(request_);
                  store->reclaim_if_due();
                },
            .repeat = [this] { put(request_); },
            .before = {{"other", 9}},
            .after = {{"other", 9}, {name, value}}};
  }

  Scenario replacement(const std::function<void()>& before = [] {}) {
    Scenario s = publication("a", 2, [=, this] {
      put("a", 1);
      before();
    });
    s.before["a"] = 1;
    return s;
  }

  Scenario deletion(const std::function<void()>& before = [] {}) {
    return {.prepare =
                [=, this] {
                  put("other", 9);
                  put("a", 1);
                  before();
                  sequence_ = next_sequence++;
                  deleted_ = generation(reader->entry_of("a"));
                },
            .operate =
                [this] {
                  store->remove(owner, sequence_, "a", deleted_);
                  store->reclaim_if_due();
                },
            .before = {{"other", 9}, {"a", 1}},
            .after = {{"other", 9}}};
  }

  Request request_;
  std::uint64_t sequence_ = 0;
  std::uint64_t deleted_ = 0;
};

TEST_F(NamesCrash, Put) { kill_everywhere(publication("a", 1)); }

TEST_F(NamesCrash, PutOfANameThatWasDeleted) {
  kill_everywhere(publication("a", 2, [this] {
    put("a", 1);
    remove("a");
  }));
}

TEST_F(NamesCrash, PutOfNothingNamed) {
  Scenario s = publication("", 1);
  s.after = s.before;
  kill_everywhere(s);
}

TEST_F(NamesCrash, Replace) { kill_everywhere(replacement()); }

TEST_F(NamesCrash, ReplaceOfWhatIsHeld) {
  kill_everywhere(replacement([this] { reader->hold("a"); }));
}

TEST_F(NamesCrash, ReplaceWithAReaderThatComesTooLate) {
  Scenario s = replacement();
  s.late = "a";
  kill_everywhere(s);
}

TEST_F(NamesCrash, Delete) { kill_everywhere(deletion()); }

TEST_F(NamesCrash, DeleteOfWhatIsHeld) {
  kill_everywhere(deletion([this] { reader->hold("a"); }));
}

// The broker had freed the block, or was about to, and returned it: a lease that comes then keeps the entry from the
// successor, and the owner writes to its block.
TEST_F(NamesCrash, DeleteWithAReaderThatComesTooLate) {
  Scenario s = deletion();
  s.late = "a";
  kill_everywhere(s);
}

// Many at once, most of them with a block to return, one still held.
TEST_F(NamesCrash, ReclaimOfMany) {
  Scenario s;
  s.prepare = [this] {
    for (int i = 0; i < 6; ++i) put("old" + std::to_string(i), 20 + i);
    put("", 30);
    for (int i = 0; i < 6; ++i) reader->hold("old" + std::to_string(i));
    for (int i = 0; i < 6; ++i) remove("old" + std::to_string(i));
    put("a", 1);
    reader->let_go();
  };
  s.operate = [this] { store->reclaim(); };
  s.before = s.after = {{"a", 1}};
  kill_everywhere(s);
}

// The blocks of a client that died lie in no extent: their pages go to the pool.
TEST_F(NamesCrash, ReclaimOfWhatTheDeadLeft) {
  Scenario s;
  s.prepare = [this] {
    put("a", 1);
    put("b", 2);
    reader->hold("b");
    store->remove_session(owner);
    add_owner();
    put("c", 3);
    remove("a");
    remove("b");
    reader->let_go();
  };
  s.operate = [this] { store->reclaim(); };
  s.before = s.after = {{"c", 3}};
  kill_everywhere(s);
}

// Tombstones fill the index, so that it is rebuilt, a slice with each new name; the last slice puts it in force.
class RebuildCrash : public NamesCrash {
 protected:
  void SetUp() override {
    NamesCrash::SetUp();
    options.max_tensors = 256;  // an index of 2,048 cells
    begin([&] {
      put_those_that_stay();
      while (store->statistics().index_rebuilds == 0) pass_by(++last_);
    });
  }

  void put_those_that_stay() {
    put("a", 1);
    put("b", 5);
  }
  void pass_by(int n) {
    put("gone" + std::to_string(n), 6);
    remove("gone" + std::to_string(n));
  }
  // `s` when so many slices are left to do.
  Scenario before_the_end(int slices, Scenario s) {
    s.prepare = [this, slices, prepare = s.prepare] {
      put_those_that_stay();
      for (int n = 0; n <= last_ - slices; ++n) pass_by(n);
      ASSERT_EQ(store->statistics().index_rebuilds, 0u);
      prepare();
    };
    return s;
  }
  // Of a name that is new: this does the next slice.
  Scenario new_name() {
    return {.prepare = [this] { request_ = draft("new", 2); },
            .operate = [this] { publish(request_); },
            .repeat = [this] { put(request_); },
            .before = {{"a", 1}, {"b", 5}},
            .after = {{"a", 1}, {"b", 5}, {"new", 2}}};
  }

  int last_ = -1;
};

TEST_F(RebuildCrash, FirstSlice) { kill_everywhere(before_the_end(2048 / 16 + 2048 / 512, new_name())); }

TEST_F(RebuildCrash, SliceThatMovesNames) { kill_everywhere(before_the_end(64, new_name())); }

TEST_F(RebuildCrash, LastSlice) { kill_everywhere(before_the_end(1, new_name())); }

// The new index knows of what has changed since it was given the names.
TEST_F(RebuildCrash, LastSliceAfterMovedNamesHaveChanged) {
  Scenario s = new_name();
  s.prepare = [this, prepare = s.prepare] {
    put("a", 3);
    remove("b");
    prepare();
  };
  s.before = {{"a", 3}};
  s.after = {{"a", 3}, {"new", 2}};
  kill_everywhere(before_the_end(1, s));
}

TEST_F(RebuildCrash, ReplacementOfAMovedName) {
  Scenario s = new_name();
  s.prepare = [this] { request_ = draft("a", 2); };
  s.after = {{"a", 2}, {"b", 5}};
  kill_everywhere(before_the_end(1, s));
}

TEST_F(RebuildCrash, DeletionOfAMovedName) {
  kill_everywhere(before_the_end(1, {.prepare =
                                         [this] {
                                           sequence_ = next_sequence++;
                                           deleted_ = generation(reader->entry_of("a"));
                                         },
                                     .operate = [this] { store->remove(owner, sequence_, "a", deleted_); },
                                     .before = {{"a", 1}, {"b", 5}},
                                     .after = {{"b", 5}}}));
}

}  // namespace
}  // namespace tensorbroker::broker
