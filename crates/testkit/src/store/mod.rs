//! The conformance suite of the store. A store passes it by one line in its tests:
//!
//! ```ignore
//! tidings_testkit::store_conformance!(MyHarness::default());
//! ```
//!
//! where the expression makes a [`StoreHarness`], once for each case.

pub mod accept;
pub mod acknowledge;
pub mod announcements;
pub mod api_keys;
pub mod audit;
pub mod change;
pub mod concurrency;
pub mod connections;
pub mod counters;
pub mod dedupe;
pub mod erasures;
mod follower;
pub mod idempotency;
pub mod ledger;
mod ledger_ops;
pub mod maintenance;
pub mod memberships;
mod model;
pub mod open;
pub mod page;
pub mod prune;
pub mod read_all;
pub mod retraction;
pub mod rev_at;
pub mod revocations;
pub mod sync;
pub mod users;
mod world;

use std::sync::Arc;

use async_trait::async_trait;
use tidings_core::ports::{ChangeSink, Store};

/// Makes the store under test.
#[async_trait]
pub trait StoreHarness: Send + Sync + 'static {
    /// An empty store. Called once.
    async fn open(&self, sink: Arc<dyn ChangeSink>) -> Arc<dyn Store>;

    /// Closes the store and opens the same data again.
    async fn reopen(&self, sink: Arc<dyn ChangeSink>) -> Arc<dyn Store>;
}

/// One `#[tokio::test]` for each case of the suite.
#[macro_export]
macro_rules! store_conformance {
    ($harness:expr) => {
        $crate::store_conformance_cases! { $harness;
            accept {
                a_message_is_in_the_inbox_when_accept_returns,
                every_field_comes_back_as_it_was_sent,
                one_message_for_many_has_one_body,
                messages_of_one_request_keep_their_order,
                an_id_that_is_known_adds_nothing,
                the_actor_is_taken_from_the_users,
                a_thousand_items_are_stored_at_once,
                more_than_a_thousand_items_are_announced,
                what_is_not_for_named_users_now_is_announced,
                what_was_accepted_survives_a_restart,
            }
            idempotency {
                the_first_outcome_can_be_asked_for_with_its_note,
                a_request_that_is_sent_twice_is_carried_out_once,
                another_request_with_the_same_key_is_refused_and_stores_nothing,
                keys_of_two_scopes_never_meet,
                a_key_counts_for_24_hours,
                a_hundred_copies_of_a_request_at_once_are_one,
                requests_in_order_are_carried_out_together_and_once,
            }
            dedupe {
                a_user_gets_one_notification_for_one_key,
                only_those_who_have_the_key_are_left_out,
                a_dedupe_key_counts_for_24_hours,
                an_announcement_leaves_out_those_who_have_the_key,
            }
            change {
                reading_marks_as_seen_and_counts_down,
                unread_again_stays_seen_and_counts_up,
                seen_leaves_the_count_alone,
                archived_items_do_not_count,
                several_items_take_one_rev,
                what_changes_nothing_takes_no_rev,
                what_is_not_in_the_inbox_is_missing,
                a_deleted_item_is_gone_and_told,
                clearing_leaves_tombstones,
                clearing_very_many_makes_clients_start_over,
            }
            read_all {
                everything_so_far_is_read_by_one_rev,
                only_up_to_a_seq,
                beyond_the_counter_is_the_counter,
                archived_items_are_read_too,
                nothing_to_read_takes_no_rev,
                below_the_watermark_items_tell_by_their_rev,
            }
            sync {
                the_whole_story_from_zero,
                only_what_changed_since,
                whole_revs_only,
                a_rev_larger_than_the_limit_comes_whole,
                pages_add_up_to_the_inbox,
                beyond_the_counter_starts_over,
                below_the_floor_starts_over,
                a_user_without_inbox,
            }
            rev_at {
                every_change_after_an_instant_is_above_its_rev,
                a_clear_without_tombstones_makes_clients_start_over,
                a_clock_that_goes_back_hides_nothing,
            }
            page {
                newest_first_by_cursor,
                numbered_pages_count_the_total,
                unread_only,
                archived_items_have_a_list_of_their_own,
                by_type_and_tenant,
                the_limit_is_bounded,
                inboxes_are_apart,
            }
            memberships {
                members_are_added_once_and_listed_by_id,
                a_room_takes_no_more_than_its_size,
                who_is_removed_is_named_and_gone,
                the_rooms_of_a_user_among_others,
                all_rooms_of_a_user_by_id,
            }
            open {
                the_newest_unread_oldest_first,
                since_a_rev_is_a_sync,
                a_device_goes_on_from_its_cursor,
                an_unknown_device_gets_the_newest,
                a_user_without_inbox,
            }
            acknowledge {
                items_are_delivered_once_and_take_no_rev,
                a_cursor_never_goes_back_nor_beyond_the_counter,
                the_devices_of_two_users_are_apart,
                the_21st_device_replaces_the_least_recently_used,
                the_devices_of_a_user_are_listed,
            }
            counters {
                states_of_many_users,
                exists_tells_a_strangers_notification_from_none,
            }
            announcements {
                all_are_the_users_known_at_acceptance,
                batches_go_on_where_the_last_one_ended,
                a_restart_repeats_nothing_and_leaves_out_nobody,
                a_room_is_its_members_at_acceptance,
                nothing_is_sent_before_its_time,
                an_expired_announcement_stops,
                for_nobody_is_done_at_once,
                the_oldest_is_due_first,
                an_unknown_announcement,
            }
            retraction {
                a_message_is_taken_out_of_every_inbox,
                large_ones_go_on_in_batches,
                an_announcement_is_cancelled,
                an_unknown_message,
            }
            maintenance {
                expired_notifications_are_removed_by_one_rev,
                expiry_goes_on_in_batches,
                nothing_expires_before_its_time,
                an_expired_announcement_is_done,
                an_expired_announcement_may_be_sent_again,
                old_notifications_are_removed_with_their_announcements,
                retention_counts_from_when_it_was_sent,
                a_type_may_have_a_retention_of_its_own,
                bodies_without_items_go_too,
                a_store_that_works_answers_a_ping,
            }
            prune {
                without_their_tombstones_clients_start_over,
                only_inboxes_that_lost_tombstones_start_over,
                in_batches_until_nothing_is_left,
                only_finished_announcements_are_forgotten,
            }
            users {
                a_user_is_created_and_replaced,
                a_user_who_is_seen_has_a_row,
                seeing_a_user_leaves_what_is_known,
                when_users_were_last_seen_only_moves_forward,
            }
            api_keys {
                a_key_is_found_by_its_hash_until_revoked,
                keys_are_listed_the_oldest_first,
                an_id_is_used_once,
            }
            revocations {
                what_is_revoked_is_kept,
                of_two_for_the_same_the_later_holds,
                only_so_many_stand_at_once,
                ended_ones_are_removed_in_batches,
            }
            audit {
                entries_are_listed_newest_first_by_cursor,
                filters_are_combined,
                what_happened_again_is_counted,
                old_entries_are_removed_in_batches,
            }
            connections {
                what_is_noted_is_listed_the_latest_first,
                a_connection_ends_once_and_stands_on_its_latest_token,
                a_connection_may_be_noted_when_it_has_ended_already,
                what_a_silent_node_held_is_closed_in_batches,
                a_node_that_was_taken_for_lost_says_so_again,
                what_a_node_held_before_it_was_restarted_is_closed,
                ended_ones_are_taken_away_the_first_to_end_first,
            }
            erasures {
                nothing_of_a_user_is_left,
                whoever_comes_back_begins_a_new_inbox,
                an_erased_actor_is_nobody,
                waiting_announcements_leave_the_user_out,
                the_log_keeps_what_happened_and_not_who_it_was,
                it_goes_on_in_batches_after_a_restart,
                asked_for_again_it_is_the_same,
                accepts_beside_an_erasure_find_an_inbox,
            }
            concurrency {
                many_accepts_to_one_user_have_contiguous_revs,
                many_accepts_to_many_users,
                announcements_and_accepts_interleave,
                a_failing_request_spoils_no_other,
                an_inbox_is_read_in_one_snapshot,
            }
            ledger {
                random_operations_give_exactly_what_the_ledger_says,
                followers_that_lose_changes_converge,
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! store_conformance_cases {
    ($harness:expr; $($noun:ident { $($case:ident,)* })*) => {
        $(
            mod $noun {
                use super::*;
                $(
                    #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $case() {
                        $crate::store::$noun::$case(&$harness).await;
                    }
                )*
            }
        )*
    };
}

#[cfg(test)]
mod tests {
    /// A case that is written but not listed above would never run.
    #[test]
    fn every_case_is_listed() {
        let listed = include_str!("mod.rs");
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store");
        for file in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            for (_, rest) in text.match_indices("\npub async fn ").map(|(at, _)| text.split_at(at))
            {
                let name = rest["\npub async fn ".len()..].split('(').next().unwrap();
                assert!(listed.contains(&format!("    {name},\n")), "{name} is not listed");
            }
        }
    }
}
