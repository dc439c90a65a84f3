// Keeps LiveData of now, as long as anybody wants it: an idle dashboard asks the supervisor nothing.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <list>

#include "dashboard/control_link.h"
#include "dashboard/live_data.h"
#include "protocols/control/event_result.h"

namespace paddock::dashboard {

class Feed {
 public:
  static constexpr std::chrono::milliseconds kViewedPeriod{2000};
  static constexpr std::chrono::milliseconds kScrapedPeriod{5000};
  static constexpr std::chrono::seconds kStatusPeriod{15};  // where only figures are wanted
  static constexpr std::chrono::minutes kScrapeMemory{5};  // so long after a scrape more of them are expected
  static constexpr std::size_t kEvents = 500;

  Feed(boost::asio::io_context &io, ControlLink &link) : io_(io), link_(link), idle_(io), hurry_(io) {}

  // Runs until the loop stops.
  void start();

  [[nodiscard]] const LiveData &data() const { return data_; }
  [[nodiscard]] const std::deque<control::Event> &events() const { return events_; }
  // Grows with every change of data and events.
  [[nodiscard]] std::uint64_t version() const { return version_; }

  // Somebody looks on for as long as one exists.
  class Viewer {
   public:
    explicit Viewer(Feed &feed);
    ~Viewer();
    Viewer(const Viewer &) = delete;
    Viewer &operator=(const Viewer &) = delete;
    // Until version() is not `seen`, at most `patience`.
    boost::asio::awaitable<void> changed(std::uint64_t seen, std::chrono::milliseconds patience);

   private:
    Feed &feed_;
    boost::asio::steady_timer timer_;
    std::list<boost::asio::steady_timer *>::iterator place_;
  };

  // Figures are wanted now and then: waits until there are some, at most a few seconds.
  boost::asio::awaitable<void> scraped();
  // A tenant's state has changed by our doing: look at once.
  void hurry() { hurry_.cancel(); }

 private:
  [[nodiscard]] bool viewed() const { return !viewers_.empty(); }
  [[nodiscard]] bool wanted() const;
  [[nodiscard]] std::chrono::milliseconds period() const { return viewed() ? kViewedPeriod : kScrapedPeriod; }
  void wake();
  void changed();
  boost::asio::awaitable<void> until_wanted(bool by_viewer);
  boost::asio::awaitable<void> pause(boost::asio::steady_timer &timer, std::chrono::milliseconds time);
  boost::asio::awaitable<void> follow_samples();
  boost::asio::awaitable<void> follow_events();
  boost::asio::awaitable<void> poll_status();

  boost::asio::io_context &io_;
  ControlLink &link_;
  LiveData data_;
  MachineReader machine_;
  std::deque<control::Event> events_;
  std::uint64_t last_event_ = 0;
  std::uint64_t version_ = 1;
  std::list<boost::asio::steady_timer *> viewers_;
  std::list<boost::asio::steady_timer *> sleepers_;
  boost::asio::steady_timer idle_;
  boost::asio::steady_timer hurry_;  // poll_status() sleeps on it
  std::chrono::steady_clock::time_point scraped_at_{};
  std::chrono::steady_clock::time_point status_at_{};
  std::chrono::steady_clock::time_point samples_at_{};
};

}  // namespace paddock::dashboard
