import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Runs checks one after the other, each for at most a minute, and prints a line for each. */
final class Checks {
  interface Body {
    void run() throws Exception;
  }

  private static final long SECONDS_AT_MOST = 60;
  private final List<String> wanted;
  private final List<String> failed = new ArrayList<>();
  private int passed;

  /** Runs only what contains one of {@code wanted}; everything when there is none. */
  Checks(String[] wanted) {
    this.wanted = Arrays.asList(wanted);
  }

  void check(String name, Body body) {
    if (!wanted.isEmpty() && wanted.stream().noneMatch(name::contains)) return;
    long start = System.nanoTime();
    FutureTask<Void> task = new FutureTask<>((Callable<Void>) () -> {
      body.run();
      return null;
    });
    // A thread of its own, so that a check that hangs costs a minute and not the whole run.
    Thread thread = new Thread(task, name);
    thread.setDaemon(true);
    thread.start();
    String complaint = null;
    try {
      task.get(SECONDS_AT_MOST, TimeUnit.SECONDS);
    } catch (TimeoutException late) {
      StackTraceElement[] where = thread.getStackTrace();
      String own = Arrays.stream(where).filter(at -> at.getModuleName() == null && !at.getClassName().startsWith("org."))
          .findFirst().map(StackTraceElement::toString).orElse("nowhere");
      complaint = "not done after " + SECONDS_AT_MOST + " s, at " + own;
      thread.interrupt();
    } catch (ExecutionException error) {
      complaint = describe(error.getCause());
    } catch (InterruptedException error) {
      complaint = "interrupted";
    }
    long took = (System.nanoTime() - start) / 1_000_000;
    if (complaint == null) {
      passed++;
      System.out.printf("ok     %s (%d ms)%n", name, took);
    } else {
      failed.add(name);
      System.out.printf("FAILED %s (%d ms): %s%n", name, took, complaint);
    }
  }

  /** Prints the sum and gives the exit code. */
  int finish() {
    System.out.printf("%d passed, %d failed%n", passed, failed.size());
    return failed.isEmpty() && passed > 0 ? 0 : 1;
  }

  private static String describe(Throwable error) {
    StringBuilder said = new StringBuilder();
    for (Throwable cause = error; cause != null && said.length() < 2000; cause = cause.getCause()) {
      if (said.length() > 0) said.append(" <- ");
      said.append(cause.getClass().getSimpleName()).append(": ").append(String.valueOf(cause.getMessage()).replace('\n', ' '));
    }
    for (StackTraceElement at : error.getStackTrace()) {
      if (at.getFileName() != null && !at.getClassName().startsWith("org.") && !at.getClassName().startsWith("java.")
          && !at.getClassName().equals("Checks")) {
        return said.append(" (").append(at.getFileName()).append(':').append(at.getLineNumber()).append(')').toString();
      }
    }
    return said.toString();
  }

  static void that(boolean holds, String otherwise) {
    if (!holds) throw new AssertionError(otherwise);
  }

  static void same(Object expected, Object found, String what) {
    that(Objects.equals(expected, found), what + ": expected " + expected + ", found " + found);
  }

  /** The body must fail with an error of this class, itself or as a cause; gives it. */
  static <T extends Throwable> T fails(Class<T> with, Body body) {
    try {
      body.run();
    } catch (Throwable error) {
      for (Throwable cause = error; cause != null; cause = cause.getCause()) {
        if (with.isInstance(cause)) return with.cast(cause);
      }
      throw new AssertionError("expected " + with.getSimpleName() + ", got " + error, error);
    }
    throw new AssertionError("expected " + with.getSimpleName() + ", but nothing failed");
  }

  /** Waits until it holds, for at most so many seconds. */
  static void eventually(int seconds, String what, Callable<Boolean> holds) throws Exception {
    long deadline = System.nanoTime() + seconds * 1_000_000_000L;
    while (!holds.call()) {
      that(System.nanoTime() < deadline, "after " + seconds + " s still not: " + what);
      Thread.sleep(50);
    }
  }
}
