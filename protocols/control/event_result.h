// What befell tenants, and what was done to them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace paddock::control {

struct Event {
  std::uint64_t id = 0;      // grows, is never given twice
  std::int64_t time_ms = 0;  // since the epoch
  std::string tenant;        // empty: the whole host
  std::string kind;          // "oom-kill": accounting/event.h lists them
  std::string actor;         // "kernel", "uid 1000", "rule NAME"; empty: the supervisor
  std::string text;          // for people; may hold what a tenant chose
  std::string snapshot;      // an EventSnapshot, or a rule's figures, as a JSON text; may be empty

  template <typename Io>
  void fields(Io &io) {
    io("id", id);
    io("time_ms", time_ms);
    io("tenant", tenant);
    io("kind", kind);
    io("actor", actor);
    io("text", text);
    io("snapshot", snapshot);
  }
};

struct Events {
  std::vector<Event> events;  // by id
  std::uint64_t last_id = 0;  // to go on from: Request::after

  template <typename Io>
  void fields(Io &io) {
    io("events", events);
    io("last_id", last_id);
  }
};

// What the tenant was doing at that moment; its texts are as the tenant chose them.
struct EventSnapshot {
  struct Process {
    std::int32_t pid = 0;  // on the host
    std::string title;
    std::string state;  // as /proc/PID/stat has it
    std::uint64_t resident_bytes = 0;
    std::uint64_t cpu_ms = 0;

    template <typename Io>
    void fields(Io &io) {
      io("pid", pid);
      io("title", title);
      io("state", state);
      io("resident_bytes", resident_bytes);
      io("cpu_ms", cpu_ms);
    }
  };
  struct Request {
    std::string method;
    std::string uri;
    std::string script;
    std::uint64_t age_ms = 0;

    template <typename Io>
    void fields(Io &io) {
      io("method", method);
      io("uri", uri);
      io("script", script);
      io("age_ms", age_ms);
    }
  };

  std::uint64_t memory_bytes = 0;
  std::uint64_t memory_peak_bytes = 0;
  std::uint64_t pids = 0;
  std::uint64_t process_count = 0;  // the list may be shorter
  std::vector<Process> processes;
  std::vector<Request> requests;  // that were running

  template <typename Io>
  void fields(Io &io) {
    io("memory_bytes", memory_bytes);
    io("memory_peak_bytes", memory_peak_bytes);
    io("pids", pids);
    io("process_count", process_count);
    io("processes", processes);
    io("requests", requests);
  }
};

}  // namespace paddock::control
