# Makes tests/mutants_test.cc in the build folder: the templates of the lock-free protocols, each time with one line
# taken out or weakened, in a namespace of their own with the model of broker and readers over them, and a test that the
# explorer finds a violation. A line that is no longer there to be changed is an error.

set(templates proto/lease.h proto/lookup.h proto/glance.h broker/index_rebuild.h broker/name_index.h
    broker/publication.h broker/reclaim.h)
set(ring_templates proto/command_ring.h)
list(TRANSFORM templates PREPEND "${PROJECT_SOURCE_DIR}/")
list(TRANSFORM ring_templates PREPEND "${PROJECT_SOURCE_DIR}/")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${templates} ${ring_templates})

# The templates as text that can be included in a namespace within tensorbroker.
function(text_of variable)
  set(all "")
  foreach(header IN LISTS ARGN)
    file(READ "${header}" text)
    string(REGEX REPLACE "#(include|ifndef|define|endif)[^\n]*" "" text "${text}")
    string(REPLACE "namespace tensorbroker::broker {" "namespace broker {" text "${text}")
    string(REPLACE "}  // namespace tensorbroker::broker" "}" text "${text}")
    string(REPLACE "namespace tensorbroker {" "" text "${text}")
    string(REPLACE "}  // namespace tensorbroker" "" text "${text}")
    string(APPEND all "${text}")
  endforeach()
  set(${variable} "${all}" PARENT_SCOPE)
endfunction()
text_of(original ${templates})
text_of(original_ring ${ring_templates})

set(mutants_source "${CMAKE_CURRENT_BINARY_DIR}/mutants_test.cc")
set(mutants_text "#include \"tests/model/mutants.h\"\n")

# The templates `whole` with one text changed, `world` over them, and a test that `exploration` finds a violation.
function(write_mutant name whole from to world exploration)
  string(REPLACE "${from}" "${to}" text "${whole}")
  if("${text}" STREQUAL "${whole}")
    message(FATAL_ERROR "mutant ${name}: there is no such text to change:\n${from}")
  endif()
  file(CONFIGURE OUTPUT "mutants/${name}.inl" CONTENT "${text}" @ONLY)
  string(APPEND mutants_text "
namespace tensorbroker::${name} {
#include \"mutants/${name}.inl\"
namespace {
#include \"tests/model/${world}\"
TEST(Mutant, ${name}) { EXPECT_TRUE(is_caught(${exploration})); }
}  // namespace
}  // namespace tensorbroker::${name}
")
  set(mutants_text "${mutants_text}" PARENT_SCOPE)
endfunction()

# add_mutant(<name> <from> <to> <program> <bounds>): `program` is a list of Op, `bounds` the members of Bounds.
macro(add_mutant name from to program bounds)
  write_mutant(${name} "${original}" "${from}" "${to}" world.inl
               "explore_world({${program}}, {${bounds}, .until_violation = true})")
endmacro()
# add_ring_mutant(<name> <from> <to> <limits>): `limits` are members of Limits.
macro(add_ring_mutant name from to limits)
  write_mutant(${name} "${original_ring}" "${from}" "${to}" ring_world.inl
               "explore_ring({${limits}, .until_violation = true})")
endmacro()

set(buffers ".memory = model::Memory::kStoreBuffers")
set(same "const bool same = region[position].load(std::memory_order_seq_cst) == cell && root_unchanged()")
set(store_lease "cell.store(lease_of(entry), std::memory_order_seq_cst)")
set(clear_lease "cell.store(0, std::memory_order_seq_cst);")
set(ring_on_release "if (!is_live(entry.generation.load(std::memory_order_seq_cst))) ring();")
set(retire_replaced "catalog.entries[m.replaced].generation.store(retired(m.replaced_generation), std::memory_order_seq_cst);")
set(store_cell "catalog.index[index.region][m.cell].store(m.cell_value, std::memory_order_seq_cst);")
set(rings_to_0 "for (const auto& table : tables) table.control->ring.store(0, std::memory_order_seq_cst);")
set(move_names "    move(old);")

# ---- the reader's
add_mutant(NoSecondLookAtTheCell "${same}" "const bool same = root_unchanged()" "Op::kPutA, Op::kPutB" ".preemptions = 3")
add_mutant(NoSecondLookAtTheRootOnAHit "${same}" "const bool same = region[position].load(std::memory_order_seq_cst) == cell"
           "Op::kRebuild, Op::kPutA, Op::kPutB" ".preemptions = 3")
add_mutant(NoSecondLookAtTheRootOnAMiss "return root_unchanged() ? Probe::kMissing : Probe::kAgain;"
           "return Probe::kMissing;" "Op::kRebuild, Op::kOverwriteOldIndex, Op::kRebuild" ".preemptions = 3")
add_mutant(LeaseStoredLate "${store_lease}" "cell.store(lease_of(entry), std::memory_order_release)"
           "Op::kPutA, Op::kPutB" ".preemptions = 3, ${buffers}")
add_mutant(NoSecondLookAtTheGeneration "if (entry.generation.load(std::memory_order_seq_cst) == generation) return true;"
           "return true;" "Op::kPutA, Op::kPutB" ".preemptions = 3, .by_handle = true")
add_mutant(NoRingOnRelease "${ring_on_release}" "" "Op::kPutA" ".preemptions = 3")
add_mutant(RingBeforeTheLeaseIsCleared "${clear_lease}\n  ${ring_on_release}" "${ring_on_release}\n  ${clear_lease}"
           "Op::kPutA" ".preemptions = 3")
add_mutant(NoRingOnWithdrawal "release_lease(lease, catalog.entries[id], ring);"
           "lease.store(0, std::memory_order_seq_cst);" "Op::kPutA" ".preemptions = 3")

add_mutant(AGlanceThatForgetsTheCell "if (word.load(std::memory_order_acquire) != cell) return false;" ""
           "Op::kPutA, Op::kPutB" ".preemptions = 2, .lists = true")
add_mutant(AGlanceAtTheCellBeforeTheGeneration
           "const std::uint64_t generation = entry.generation.load(std::memory_order_acquire);
  if (word.load(std::memory_order_acquire) != cell) return false;"
           "if (word.load(std::memory_order_acquire) != cell) return false;
  const std::uint64_t generation = entry.generation.load(std::memory_order_acquire);"
           "Op::kPutA, Op::kPutB" ".preemptions = 2, .lists = true")
add_mutant(AGlanceThatForgetsTheGeneration
           "return entry.generation.load(std::memory_order_relaxed) == generation;" "return generation != 0;"
           "Op::kPutA, Op::kPutB" ".preemptions = 2, .lists = true")

add_mutant(TheHeirTakesNoLease "if (lease != 0) heir_cells[i].store(lease, std::memory_order_seq_cst);" ""
           "Op::kPutA" ".preemptions = 3, .forks = true")
add_mutant(TheHeirsMarkIsNotRaised "heir_control.lease_high_water.store(high_water, std::memory_order_seq_cst);" ""
           "Op::kPutA" ".preemptions = 3, .forks = true")

# ---- the broker's
add_mutant(HeirsScannedBeforeTheirParents "for (const auto& table : tables) {\n    for_each_lease(table, "
           "for (auto at = tables.rbegin(); at != tables.rend(); ++at) {\n    for_each_lease(*at, "
           "Op::kPutA" ".preemptions = 3, .forks = true")
add_mutant(LiveBitLeftSet "${retire_replaced}" "" "Op::kPutA" ".preemptions = 3")
add_mutant(CellBeforeTheEntry "if (m.entry != kNoEntry) {\n    BasicEntry<W>& entry"
           "if (m.cell != kNoCell) {
    const IndexRoot index = IndexRoot::unpack(catalog.root->index.load(std::memory_order_seq_cst));
    ${store_cell}
  }
  if (m.entry != kNoEntry) {\n    BasicEntry<W>& entry"
           "Op::kPutA" ".preemptions = 3")
add_mutant(RootBeforeTheCells "${move_names}" "    catalog_.root->index.store(
        IndexRoot{.epoch = old.epoch + 1,
                  .region = static_cast<std::uint8_t>(1 - old.region),
                  .log2_cells = static_cast<std::uint8_t>(std::countr_zero(cells_))}
            .pack(),
        std::memory_order_seq_cst);
${move_names}"
           "Op::kRebuild" ".preemptions = 3")
add_mutant(ChangesDuringARebuildMissed "if (!under_way() || cell >= moved_) return;" "return;"
           "Op::kHalfARebuild, Op::kPutA, Op::kRebuild" ".preemptions = 3")
add_mutant(DeletionsDuringARebuildMissed "if (!under_way() || cell >= moved_) return;"
           "if (!under_way() || cell >= moved_ || after == kTombstone) return;"
           "Op::kHalfARebuild, Op::kDeleteA, Op::kRebuild" ".preemptions = 3")
add_mutant(NamesNotReachedYetTakenTwice "if (!under_way() || cell >= moved_) return;" "if (!under_way()) return;"
           "Op::kDeleteA, Op::kPutB, Op::kHalfARebuild, Op::kPutA, Op::kRebuild, Op::kDeleteA" ".preemptions = 3")
add_mutant(RebuiltUnderTheSameEpoch ".epoch = old.epoch + 1" ".epoch = old.epoch"
           "Op::kRebuild, Op::kOverwriteOldIndex, Op::kRebuild" ".preemptions = 3")
add_mutant(BeginningsAfterTheCell "  store_beginnings(catalog, m);
  write_intent(catalog.root->intent, m);
  carry_out(catalog, window, m);"
           "  write_intent(catalog.root->intent, m);
  carry_out(catalog, window, m);
  store_beginnings(catalog, m);"
           "Op::kDeleteA, Op::kPutB, Op::kPutA" ".preemptions = 2, .lists = true")
add_mutant(BeginningsLeftBehindByARebuild "copy_beginnings(old.region, moved_, at);" ""
           "Op::kRebuild" ".preemptions = 2, .lists = true")
add_mutant(BeginningsMissedDuringARebuild "if (!was_there) copy_beginnings(root().region, cell, at);" ""
           "Op::kDeleteA, Op::kHalfARebuild, Op::kPutA, Op::kRebuild" ".preemptions = 2, .lists = true")
set(unchanged "${original}")
string(REPLACE "${rings_to_0}" "" original "${original}")
add_mutant(RingsResetAfterTheScan "return leased;" "${rings_to_0} return leased;" "Op::kPutA" ".preemptions = 3")
set(original "${unchanged}")

# ---- the command rings
set(move_tail "ring_.tail->store(tail_, std::memory_order_seq_cst);")
add_ring_mutant(TailMovedLate "${move_tail}" "ring_.tail->store(tail_, std::memory_order_release);"
                ".preemptions = 4, ${buffers}")
add_ring_mutant(SleepSaidLate "ring_.asleep->store(1, std::memory_order_seq_cst);"
                "ring_.asleep->store(1, std::memory_order_release);" ".preemptions = 4, ${buffers}")
add_ring_mutant(NoSecondLookBeforeSleep "if (ring_.tail->load(std::memory_order_seq_cst) == head_) return true;"
                "return true;" ".preemptions = 4")
add_ring_mutant(TheSleeperIsAskedAfterFirst "${move_tail}\n    return ring_.asleep->load(std::memory_order_seq_cst) != 0"
                "const bool asleep = ring_.asleep->load(std::memory_order_seq_cst) != 0;\n    ${move_tail}\n    return asleep"
                ".preemptions = 4")
add_ring_mutant(TailBeforeTheFrame "ring_.word(tail_).store(frame.size(), std::memory_order_relaxed);"
                "ring_.tail->store(tail_ + words, std::memory_order_seq_cst);\n    ring_.word(tail_).store(frame.size(), std::memory_order_relaxed);"
                ".preemptions = 4")

file(CONFIGURE OUTPUT "${mutants_source}" CONTENT "${mutants_text}" @ONLY)
# What a mutant leaves unused, or on one line, is meant so.
set_source_files_properties("${mutants_source}" PROPERTIES
  COMPILE_OPTIONS "-Wno-unused-parameter;-Wno-misleading-indentation")
