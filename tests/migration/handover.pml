// SPDX-License-Identifier: Apache-2.0
// Who owns a partition that moves from A to B (docs/migration-protocol.md), for the model checker spin. Either process may
// be killed and the link cut, several times and between any two steps. One page stands for all that follow after the start.
//
// Claims: never do both sides run the partition or hold its disk; A drops the memory only when B needs nothing of it; and
// when everything has come to rest, the partition is defined on exactly one side, whatever happened.

#define KILLS 3
#define CUTS 3

mtype = { Prepare, Ready, Commit, Resumed, Page, Received, Completed, Absent };  // messages
mtype = { Here, Leaving, Left };                                                  // A's durable record
mtype = { NotOwned, Owned, Incomplete };                                          // answers to "settle"

chan to_b = [3] of { mtype };
chan to_a = [3] of { mtype };
bool link;     // a connection of movers stands
bool b_holds;  // B has one, or has not noticed yet that it broke: it takes no other

// Durable.
mtype a_record = Here;
bool b_arrived;
// Of the processes.
bool a_runs = true, b_runs;        // the partition's processors
bool a_disk = true, b_disk;        // the reservation
bool a_memory = true, b_lacks;     // A has all pages; B's process waits for the one that follows
bool b_shell, b_ready, b_off, b_up = true;
bool a_killed, b_killed, memory_gone;
byte kills, cuts;
mtype answer;

#define SAFE assert(!(a_runs && b_runs)); assert(!(a_disk && b_disk))

inline cut() {
  link = false;
  do :: to_b ? _ :: to_a ? _ :: empty(to_b) && empty(to_a) -> break od
}

// The question through the control service; asked again until B's process is there.
inline settle() {
  atomic {
    b_up;
    if
    :: b_arrived && b_lacks -> answer = Incomplete
    :: b_arrived && !b_lacks -> answer = Owned
    :: !b_arrived -> b_off = true; answer = NotOwned  // and never by this stream
    fi
  }
}

inline roll_back() {
  d_step { cut() }
  atomic { if :: b_shell && !b_arrived -> b_off = true :: else fi }
  atomic { !b_disk -> a_disk = true; SAFE }
  a_record = Here;
  atomic { a_runs = true; SAFE }
}

inline leave() {
  atomic { assert(!b_lacks); a_memory = false }
  a_record = Left
}

proctype A() {
  {
    if
    :: a_record == Leaving ->  // started anew: the memory is lost, the question is not
       settle();
       if
       :: answer == NotOwned -> a_record = Here
       :: else -> a_record = Left
       fi
    :: a_record == Here && a_memory && !b_shell ->
       b_shell = b_up;
       if :: !b_shell -> goto over :: else fi;
       a_record = Leaving;
       if :: atomic { b_shell -> link = true; b_holds = true } :: !b_shell -> goto before fi;
       a_runs = false;  // suspended
       a_disk = false;
       if :: atomic { link -> to_b ! Prepare } :: !link -> goto before fi;
       if :: atomic { link && to_a ? [Ready] -> to_a ? Ready } :: !link -> goto before fi;
       if :: atomic { link -> to_b ! Commit } :: !link -> goto before fi;
       if :: atomic { link && to_a ? [Resumed] -> to_a ? Resumed } :: !link -> goto doubt fi;
serve:
       if :: atomic { link -> to_b ! Page } :: !link -> goto doubt fi;
       if :: atomic { link && to_a ? [Received] -> to_a ? Received } :: !link -> goto doubt fi;
       leave();
       if :: atomic { link -> to_b ! Completed } :: !link -> skip fi;
       goto over;
doubt:
       settle();
       if
       :: answer == NotOwned -> roll_back(); goto over
       :: answer == Owned -> leave(); goto over
       :: answer == Incomplete ->  // connect again
          if
          :: atomic { b_up && b_lacks && !link && !b_holds -> link = true; b_holds = true };
             if :: atomic { link && to_a ? [Absent] -> to_a ? Absent } :: !link -> goto doubt fi;
             goto serve
          :: !(b_up && b_lacks) -> goto doubt
          fi
       fi;
before:
       roll_back()
    :: else
    fi;
over: skip
  } unless {
    atomic {
      a_killed -> a_killed = false; a_runs = false; a_disk = false; memory_gone = memory_gone || a_memory; a_memory = false;
      cut(); run A()
    }
  }
}

proctype B() {
  {
    if
    :: b_arrived -> skip  // started anew: defined, not activated
    :: else ->
end_idle:
       b_shell && link || b_off;
       do
       :: atomic { link && to_b ? [Prepare] -> to_b ? Prepare };
          if
          :: atomic { !a_disk -> b_disk = true; b_lacks = true; SAFE }
          :: a_disk -> goto undo  // the SAN refuses: A took its disk back meanwhile
          fi;
          if :: atomic { link -> to_a ! Ready } :: !link -> goto undo fi;
          b_ready = true
       :: atomic { link && b_ready && to_b ? [Commit] -> to_b ? Commit };
          if
          :: atomic { !b_off -> b_arrived = true }
          :: b_off -> goto undo
          fi;
          goto started
       :: !link || b_off -> goto undo
       od;
started:
       atomic { b_runs = true; SAFE };
       if :: atomic { link -> to_a ! Resumed } :: !link fi;
pull:
       if
       :: atomic { link && to_b ? [Page] -> to_b ? Page; b_lacks = false }
       :: atomic { !link && !memory_gone -> b_holds = false };
          if
          :: atomic { link -> to_a ! Absent }; goto pull
          :: b_holds && !link -> goto pull
          :: memory_gone -> goto lost
          fi
       :: memory_gone -> goto lost
       fi;
       if :: atomic { link -> to_a ! Received } :: !link fi;
       goto over;
lost:  // the administrator says so (migrlpar -o r): state Error
       assert(kills > 0);
       atomic { b_runs = false; b_disk = false; b_lacks = false };
       goto over;
undo:
       atomic { b_disk = false; b_shell = false; b_lacks = false; if :: link -> cut() :: else fi }
    fi;
over: skip
  } unless {
    atomic {
      b_killed -> b_killed = false; b_runs = false; b_disk = false; b_lacks = false; b_shell = false; b_ready = false;
      b_holds = false;
      cut(); run B()
    }
  }
}

// Kills and cuts at any time, a bounded number.
proctype Chaos() {
  do
  :: atomic { kills < KILLS && !a_killed -> kills++; a_killed = true }
  :: atomic { kills < KILLS && !b_killed -> kills++; b_killed = true }
  :: atomic { cuts < CUTS && link -> cuts++; cut() }
  :: break
  od
}

init {
  atomic { run A(); run B(); run Chaos() }
  timeout;  // nothing moves any more
  assert(a_record != Leaving);
  assert((a_record == Here) != b_arrived)
}
