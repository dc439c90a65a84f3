#include "protocols/fastcgi/request_assembler.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string>

#include "protocols/fastcgi/params.h"
#include "protocols/fastcgi/settings.h"

namespace paddock::fastcgi {

bool RequestAssembler::fail(std::string_view what, Event &event) {
  state_ = State::kFailed;
  error_ = what;
  event = Event::kError;
  return true;
}

void RequestAssembler::reply(std::span<const std::uint8_t> bytes) {
  std::copy(bytes.begin(), bytes.end(), reply_.begin());
  data_ = std::span<const std::uint8_t>(reply_).first(bytes.size());
}

bool RequestAssembler::gather(const Fragment &fragment) {
  if (fragment.first) {
    small_size_ = 0;
    small_overflow_ = false;
  }
  if (fragment.content.size() > small_.size() - small_size_) {
    small_overflow_ = true;
  } else if (!fragment.content.empty()) {
    std::memcpy(small_.data() + small_size_, fragment.content.data(), fragment.content.size());
    small_size_ += fragment.content.size();
  }
  return fragment.last;
}

bool RequestAssembler::begin_request(const Fragment &fragment, Event &event) {
  if (fragment.header.content_length != 8) return fail("BEGIN_REQUEST has not 8 bytes of content", event);
  if (!gather(fragment)) return false;
  const auto role = static_cast<std::uint16_t>(small_[0] << 8 | small_[1]);
  const bool keep = (small_[2] & kKeepConnection) != 0;
  const std::uint16_t id = fragment.header.request_id;
  if (active()) {
    if (id == request_id_) return fail("BEGIN_REQUEST for a request that has already begun", event);
    if (++foreign_records_ > limits_.foreign_records)
      return fail("too many records that belong to no request", event);
    reply(format_end_request(id, ProtocolStatus::kCantMultiplex));
    event = Event::kReply;
    return true;
  }
  if (role != static_cast<std::uint16_t>(Role::kResponder)) {
    if (++foreign_records_ > limits_.foreign_records)
      return fail("too many records that belong to no request", event);
    keep_connection_ = keep;
    reply(format_end_request(id, ProtocolStatus::kUnknownRole));
    event = Event::kRefused;
    return true;
  }
  keep_connection_ = keep;
  request_id_ = id;
  params_.clear();
  has_settings_ = false;
  settings_.clear();
  stdin_bytes_ = 0;
  state_ = State::kParams;
  return false;
}

bool RequestAssembler::take_params(const Fragment &fragment, Event &event) {
  if (state_ != State::kParams) {
    // The end of a stream said twice harms nobody; data after it does.
    return fragment.content.empty() ? false : fail("PARAMS after the end of the params", event);
  }
  if (fragment.header.content_length > limits_.params_bytes - params_.size() && fragment.first)
    return fail("params are longer than the limit", event);
  if (!fragment.content.empty()) {
    params_.insert(params_.end(), fragment.content.begin(), fragment.content.end());
    return false;
  }
  std::size_t count = 0;
  std::string_view name;
  std::string_view value;
  ParamsDecoder decoder(params_);
  while (decoder.next(name, value))
    if (++count > limits_.params_count) return fail("more params than the limit", event);
  if (decoder.malformed()) return fail("a param's length goes past the end of the params", event);
  state_ = State::kBody;
  event = Event::kParamsComplete;
  return true;
}

bool RequestAssembler::take_settings(const Fragment &fragment, Event &event) {
  if (state_ != State::kParams) return fail("settings after the end of the params", event);
  has_settings_ = true;
  if (fragment.first && fragment.header.content_length > limits_.settings_bytes - settings_.size())
    return fail("settings are longer than the limit", event);
  settings_.insert(settings_.end(), fragment.content.begin(), fragment.content.end());
  return false;
}

bool RequestAssembler::take_body(const Fragment &fragment, Event &event) {
  if (state_ == State::kParams) return fail("STDIN before the end of the params", event);
  if (state_ == State::kBodyEnded)
    return fragment.content.empty() ? false : fail("STDIN after its end", event);
  if (fragment.content.empty()) {
    state_ = State::kBodyEnded;
    event = Event::kStdinEnd;
    return true;
  }
  stdin_bytes_ += fragment.content.size();
  data_ = fragment.content;
  event = Event::kStdin;
  return true;
}

bool RequestAssembler::answer_values(Event &event) {
  std::string values;
  std::string_view name;
  std::string_view value;
  const auto tell = [&](std::string_view wanted, std::uint32_t number) {
    if (name != wanted || number == 0 || values.size() > 128) return;
    std::array<char, 12> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    append_param(values, name, {digits.data(), static_cast<std::size_t>(end - digits.data())});
  };
  ParamsDecoder decoder(std::span<const std::uint8_t>(small_).first(small_size_));
  while (decoder.next(name, value)) {
    tell("FCGI_MAX_CONNS", capabilities_.max_connections);
    tell("FCGI_MAX_REQS", capabilities_.max_requests);
    if (name == "FCGI_MPXS_CONNS" && values.size() <= 128) append_param(values, name, "0");
  }
  if (decoder.malformed()) return fail("GET_VALUES with a length that goes past its end", event);
  const std::uint8_t padding = padding_for(values.size());
  const HeaderBytes header = format_header(Type::kGetValuesResult, 0, values.size(), padding);
  std::copy(header.begin(), header.end(), reply_.begin());
  std::copy(values.begin(), values.end(), reply_.begin() + kHeaderSize);
  std::fill_n(reply_.begin() + static_cast<std::ptrdiff_t>(kHeaderSize + values.size()), padding,
              std::uint8_t{0});
  data_ = std::span<const std::uint8_t>(reply_).first(kHeaderSize + values.size() + padding);
  event = Event::kReply;
  return true;
}

bool RequestAssembler::foreign(const Fragment &fragment, Event &event) {
  if (fragment.first && ++foreign_records_ > limits_.foreign_records)
    return fail("too many records that belong to no request", event);
  const auto type = static_cast<Type>(fragment.header.type);
  if (type == Type::kGetValues && fragment.header.request_id == 0) {
    if (!gather(fragment)) return false;
    return small_overflow_ ? fail("GET_VALUES is longer than the limit", event) : answer_values(event);
  }
  if (!fragment.last) return false;
  const bool known = fragment.header.type >= static_cast<std::uint8_t>(Type::kBeginRequest) &&
                     fragment.header.type <= static_cast<std::uint8_t>(Type::kData);
  // "The application ignores records with inactive request IDs" (3.3). DATA belongs to the role Filter.
  if (known && fragment.header.request_id != 0) return false;
  reply(format_unknown_type(fragment.header.type));
  event = Event::kReply;
  return true;
}

bool RequestAssembler::handle(const Fragment &fragment, Event &event) {
  if (fragment.header.version != kVersion) return fail("a record of another version than 1", event);
  const std::uint16_t id = fragment.header.request_id;
  const auto type = static_cast<Type>(fragment.header.type);
  if (id != 0 && type == Type::kBeginRequest) return begin_request(fragment, event);
  if (id == 0 || !active() || id != request_id_) return foreign(fragment, event);
  if (fragment.header.type == kSettings) return take_settings(fragment, event);
  switch (type) {
    case Type::kParams:
      return take_params(fragment, event);
    case Type::kStdin:
      return take_body(fragment, event);
    case Type::kAbortRequest:
      if (!fragment.last) return false;
      event = Event::kAbort;
      return true;
    default:
      return foreign(fragment, event);
  }
}

RequestAssembler::Event RequestAssembler::next(std::span<const std::uint8_t> &input) {
  if (state_ == State::kFailed) return Event::kError;
  data_ = {};
  Fragment fragment;
  Event event = Event::kNeedMore;
  while (reader_.next(input, fragment))
    if (handle(fragment, event)) return event;
  return Event::kNeedMore;
}

void RequestAssembler::finish_request() {
  if (state_ != State::kFailed) state_ = State::kNoRequest;
}

void RequestAssembler::reset() {
  reader_.reset();
  state_ = State::kNoRequest;
  request_id_ = 0;
  keep_connection_ = false;
  foreign_records_ = 0;
  params_.clear();
  has_settings_ = false;
  settings_.clear();
  stdin_bytes_ = 0;
  data_ = {};
  error_ = {};
}

}  // namespace paddock::fastcgi
