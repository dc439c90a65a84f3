#include "dashboard/feed.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/log.h"

namespace paddock::dashboard {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr milliseconds kRetry{1000};
constexpr milliseconds kTogether{100};  // several events of one moment make one look

}  // namespace

void Feed::start() {
  asio::co_spawn(io_, follow_samples(), asio::detached);
  asio::co_spawn(io_, follow_events(), asio::detached);
  asio::co_spawn(io_, poll_status(), asio::detached);
}

bool Feed::wanted() const {
  return viewed() ||
         (scraped_at_ != steady_clock::time_point{} && steady_clock::now() - scraped_at_ < kScrapeMemory);
}

void Feed::wake() {
  for (auto *sleeper : sleepers_) sleeper->cancel();
}

void Feed::changed() {
  ++version_;
  for (auto *viewer : viewers_) viewer->cancel();
}

asio::awaitable<void> Feed::pause(asio::steady_timer &timer, milliseconds time) {
  timer.expires_after(time);
  [[maybe_unused]] const auto result = co_await timer.async_wait(kToken);
}

asio::awaitable<void> Feed::until_wanted(bool by_viewer) {
  asio::steady_timer timer(io_);
  const auto place = sleepers_.insert(sleepers_.end(), &timer);
  while (by_viewer ? !viewed() : !wanted()) co_await pause(timer, std::chrono::hours(1));
  sleepers_.erase(place);
}

asio::awaitable<void> Feed::follow_samples() {
  for (;;) {
    co_await until_wanted(false);
    control::Request request;
    request.command = control::Command::kSamples;
    const auto now = period();
    request.period_ms = static_cast<std::uint32_t>(now.count());
    bool unwanted = false;
    const Error error =
        co_await link_.follow(request, seconds(15), [this, now, &unwanted](const control::Reply &reply) {
          const auto samples = control::result_from_json<control::Samples>(reply.result);
          if (samples) {
            data_.take(machine_.read());
            data_.take(*samples);
            samples_at_ = steady_clock::now();
            changed();
          }
          unwanted = !wanted() || period() != now;
          return !unwanted;
        });
    if (!unwanted) {
      log::warning("samples: " + error.message());
      co_await pause(idle_, kRetry);
    }
  }
}

asio::awaitable<void> Feed::follow_events() {
  asio::steady_timer timer(io_);
  for (;;) {
    co_await until_wanted(true);
    control::Request request;
    request.command = control::Command::kEvents;
    request.follow = true;
    if (last_event_ != 0) request.after = last_event_;
    if (last_event_ == 0) request.limit = 200;
    // No news for an hour is no reason to ask anew, but a supervisor that was killed closes the connection.
    const Error error =
        co_await link_.follow(request, std::chrono::hours(1), [this](const control::Reply &reply) {
          const auto found = control::result_from_json<control::Events>(reply.result);
          if (!found) return viewed();
          for (const auto &event : found->events) events_.push_back(event);
          while (events_.size() > kEvents) events_.pop_front();
          last_event_ = std::max(last_event_, found->last_id);
          changed();
          hurry();
          return viewed();
        });
    if (viewed()) log::info("events: " + error.message());
    co_await pause(timer, kRetry);
  }
}

asio::awaitable<void> Feed::poll_status() {
  for (;;) {
    co_await until_wanted(false);
    control::Request request;
    request.command = control::Command::kStatus;
    auto reply = co_await link_.ask(request);
    auto status = reply && !reply->failure ? control::result_from_json<control::Status>(reply->result)
                                           : Result<control::Status>(Error{"no answer"});
    if (status) {
      data_.take(std::move(*status));
    } else {
      if (data_.up() && !reply) log::warning("status: " + reply.error().message());
      data_.lost();
    }
    status_at_ = steady_clock::now();
    changed();
    co_await pause(hurry_, kTogether);
    co_await pause(hurry_,
                   viewed() ? kViewedPeriod * 2 : std::chrono::duration_cast<milliseconds>(kStatusPeriod));
  }
}

Feed::Viewer::Viewer(Feed &feed) : feed_(feed), timer_(feed.io_) {
  place_ = feed_.viewers_.insert(feed_.viewers_.end(), &timer_);
  feed_.wake();
  feed_.hurry();
}

Feed::Viewer::~Viewer() {
  feed_.viewers_.erase(place_);
}

asio::awaitable<void> Feed::Viewer::changed(std::uint64_t seen, milliseconds patience) {
  const auto end = steady_clock::now() + patience;
  while (feed_.version() == seen && steady_clock::now() < end) {
    timer_.expires_at(end);
    [[maybe_unused]] const auto result = co_await timer_.async_wait(kToken);
  }
}

asio::awaitable<void> Feed::scraped() {
  constexpr milliseconds kPatience(3000);
  constexpr milliseconds kLook(20);
  const auto now = steady_clock::now();
  const auto fresh = [&] {
    return status_at_ + kStatusPeriod * 2 > now && (samples_at_ + kScrapedPeriod * 3 > now || !data_.up());
  };
  scraped_at_ = now;
  if (fresh()) co_return;
  wake();
  hurry();
  asio::steady_timer timer(io_);
  while (!fresh() && steady_clock::now() < now + kPatience) co_await pause(timer, kLook);
}

}  // namespace paddock::dashboard
