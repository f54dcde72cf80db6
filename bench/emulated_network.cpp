// A network between network namespaces, as a process: every namespace gets a TUN device, and
// packets pass from one to another at a given rate and latency. The kernel's own netem does this
// where it is built in; here it often is not, and a queue in a process is as good below some
// hundred megabytes a second. Packets are never lost.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <deque>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace {

constexpr size_t kLargestPacket = 65536;
volatile std::sig_atomic_t stopped = 0;

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what + ": " + std::strerror(errno));
}

double seconds_now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// A new TUN device of this name in that namespace.
int open_device(const std::string& name_space, const std::string& device) {
  const std::string path = "/run/netns/" + name_space;
  const int space = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (space < 0) fail(path);
  if (setns(space, CLONE_NEWNET) != 0) fail("entering " + name_space);
  close(space);
  const int tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (tun < 0) fail("/dev/net/tun");
  ifreq request{};
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  std::strncpy(request.ifr_name, device.c_str(), IFNAMSIZ - 1);
  if (ioctl(tun, TUNSETIFF, &request) != 0) fail(device + " in " + name_space);
  return tun;
}

struct Packet {
  double due = 0;  ///< has left its sender; later: arrives
  size_t to = 0;
  std::vector<uint8_t> bytes;
};

/// One host's side: its link in both directions, and what is on its way to it.
struct Host {
  int tun = -1;
  std::vector<std::deque<Packet>> waiting;  ///< for each receiver
  size_t turn = 0;
  std::optional<Packet> leaving;
  double in_free = 0;
  std::deque<Packet> arriving;
};

struct Wire {
  double latency_s = 0, bytes_per_second = 0;
};

class Switch {
 public:
  Switch(std::vector<Host> hosts, const Wire& wire) : hosts_(std::move(hosts)), wire_(wire) {
    for (Host& host : hosts_) host.waiting.resize(hosts_.size());
  }

  void run() {
    std::vector<pollfd> polls;
    for (const Host& host : hosts_) polls.push_back({host.tun, POLLIN, 0});
    while (stopped == 0) {
      const timespec wait = until_next();
      if (ppoll(polls.data(), polls.size(), &wait, nullptr) < 0 && errno != EINTR) fail("ppoll");
      for (size_t i = 0; i < hosts_.size(); ++i) {
        if ((polls[i].revents & POLLIN) != 0) take_from(hosts_[i]);
      }
      pass_on();
      deliver();
    }
  }

 private:
  timespec until_next() const {
    double next = seconds_now() + 0.1;
    for (const Host& host : hosts_) {
      if (host.leaving) next = std::min(next, host.leaving->due);
      if (!host.arriving.empty()) next = std::min(next, host.arriving.front().due);
    }
    const double wait = std::max(0.0, next - seconds_now());
    return {0, static_cast<long>(1e9 * wait)};
  }

  void take_from(Host& from) {
    std::array<uint8_t, kLargestPacket> buffer;
    for (;;) {
      const ssize_t size = read(from.tun, buffer.data(), buffer.size());
      if (size <= 0) return;
      const size_t to = destination({buffer.data(), static_cast<size_t>(size)});
      if (to >= hosts_.size()) continue;
      from.waiting[to].push_back({0, to, {buffer.data(), buffer.data() + size}});
      if (!from.leaving) send_next(from, seconds_now());
    }
  }

  double takes(size_t bytes) const { return static_cast<double>(bytes) / wire_.bytes_per_second; }

  /// Receivers take turns, as with a fair queue: an answer does not wait behind what goes to
  /// others.
  void send_next(Host& from, double now) {
    from.leaving.reset();
    for (size_t i = 0; i < hosts_.size(); ++i) {
      from.turn = (from.turn + 1) % hosts_.size();
      auto& queue = from.waiting[from.turn];
      if (queue.empty()) continue;
      from.leaving = std::move(queue.front());
      from.leaving->due = now + takes(from.leaving->bytes.size());
      queue.pop_front();
      return;
    }
  }

  /// Whoever left first has the receiver's link first.
  void pass_on() {
    for (;;) {
      Host* first = nullptr;
      for (Host& host : hosts_) {
        if (!host.leaving || host.leaving->due > seconds_now()) continue;
        if (first == nullptr || host.leaving->due < first->leaving->due) first = &host;
      }
      if (first == nullptr) return;
      Packet packet = std::move(*first->leaving);
      send_next(*first, packet.due);
      Host& to = hosts_[packet.to];
      const double took = takes(packet.bytes.size());
      to.in_free = std::max(packet.due - took, to.in_free) + took;
      packet.due = to.in_free + wire_.latency_s;
      to.arriving.push_back(std::move(packet));
    }
  }

  struct Bytes {
    const uint8_t* data;
    size_t size;
  };
  /// By the last byte of an IPv4 address, counted from 1; past the hosts: none.
  size_t destination(const Bytes& packet) {
    constexpr size_t kLastOfDestination = 19;
    if (packet.size <= kLastOfDestination || packet.data[0] >> 4 != 4) return hosts_.size();
    return packet.data[kLastOfDestination] - size_t{1};
  }

  void deliver() {
    const double now = seconds_now();
    for (Host& host : hosts_) {
      while (!host.arriving.empty() && host.arriving.front().due <= now) {
        const auto& bytes = host.arriving.front().bytes;
        if (write(host.tun, bytes.data(), bytes.size()) < 0 && errno != EINVAL && errno != EIO) {
          fail("a packet");  // EIO: the device is down
        }
        host.arriving.pop_front();
      }
    }
  }

  std::vector<Host> hosts_;
  Wire wire_;
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"A network of given latency and rate between network namespaces; needs root"};
  std::vector<std::string> spaces;
  Wire wire;
  std::string device = "wire";
  app.add_option("namespaces", spaces, "the host with address X.X.X.n is the n-th")->required();
  app.add_option("--latency", wire.latency_s, "seconds")->required()->check(CLI::NonNegativeNumber);
  app.add_option("--rate", wire.bytes_per_second, "bytes per second of a host, each direction")
      ->required()
      ->check(CLI::PositiveNumber);
  app.add_option("--device", device, "name in each namespace")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    std::vector<Host> hosts;
    for (const std::string& space : spaces) {
      hosts.emplace_back().tun = open_device(space, device);
    }
    prctl(PR_SET_TIMERSLACK, 1);
    const sched_param priority{.sched_priority = 50};  // above the ranks
    if (sched_setscheduler(0, SCHED_FIFO, &priority) != 0) {
      std::cerr << "no real-time priority: times will waver\n";
    }
    for (const int signal : {SIGTERM, SIGINT}) {
      std::signal(signal, [](int) { stopped = 1; });
    }
    std::cout << "ready" << std::endl;
    Switch(std::move(hosts), wire).run();
  } catch (const std::exception& error) {
    std::cerr << "emulated_network: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
